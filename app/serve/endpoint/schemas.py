"""Request bodies in the format of OpenAI's API, with validation; an invalid one gets a sentence as its answer.

Parameters without a meaning here (`user`, `store`, `metadata` …) are ignored; those that would change the answer and
are not supported (tools, images, JSON mode …) are refused.
"""

from __future__ import annotations

import json
from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, create_model, model_validator

from terrarium.app.serve.endpoint.errors import ApiError
from terrarium.models.number_words import capitalized
from terrarium.models.settings.sampling_config import NUMERIC_SETTINGS, SamplingConfig

MAX_CHOICES = 32
"""Maximum number of texts (prompts × n) in one request."""
MAX_TOP_LOGPROBS = 20
"""Maximum number of top log-probabilities per position."""


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _one_text(value: Any) -> Any:
    """Normalise a message's content: join a list of text parts, and leave a text unchanged."""
    if not isinstance(value, list):
        return value
    texts = [part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None for part in value]
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("only parts of type “text” are supported, no images, audio or files")
    return "".join(text for text in texts if text is not None)


def _prompts(value: Any) -> Any:
    """Normalise a prompt (text or token ids) or a list of prompts to a list of prompts."""
    if isinstance(value, str) or (isinstance(value, list) and value and all(type(item) is int for item in value)):
        return [value]
    is_list = isinstance(value, list) and len(value) > 0
    if not is_list or not all(isinstance(item, str) or _is_ids(item) for item in value):
        raise ValueError("it must be a text, a list of texts, token ids, or a list of those")
    return value


def _is_ids(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(type(item) is int for item in value)


def _only_default(value: Any) -> Any:
    if value in ([], {}, "", 1, {"type": "text"}):
        return None
    raise ValueError("this is not supported: leave it out")


Unsupported = Annotated[None, BeforeValidator(_only_default)]
"""A parameter that may only have its default value."""


class ChatMessage(BaseModel):
    """A message of a conversation."""

    model_config = ConfigDict(strict=True)
    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[str, BeforeValidator(_one_text)]


class StreamOptions(BaseModel):
    """Options of a streamed response."""

    model_config = ConfigDict(strict=True)
    include_usage: bool = False


_Id = Annotated[str, Field(pattern="^[0-9]{1,9}$")]
"""A token id as a key of a JSON object."""


def _sampling_fields() -> dict[str, Any]:
    """Return the numeric settings of SamplingConfig as request fields, with the same limits."""
    slots = {f.name: f for f in fields(SamplingConfig)}
    limits = {name: slots[name].metadata["range"] for name in NUMERIC_SETTINGS}
    return {
        name: (type(slots[name].default), Field(slots[name].default, ge=low, le=high, allow_inf_nan=False))
        for name, (low, high) in limits.items()
    }


if TYPE_CHECKING:
    _SamplingFields = BaseModel
else:
    _SamplingFields = create_model("_SamplingFields", **_sampling_fields())


class ApiRequest(_SamplingFields):
    """The fields that both kinds of requests share.

    All sampling settings are accepted under SamplingConfig's names; those that OpenAI's API lacks are extensions.
    """

    model_config = ConfigDict(strict=True)
    model: str
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    n: int = Field(1, ge=1, le=MAX_CHOICES)
    temperature: float = Field(1.0, ge=0, le=2, allow_inf_nan=False)
    top_k: int = Field(0, ge=-1, le=1_000_000)  # other servers use -1 for “off”
    logit_bias: dict[_Id, Annotated[float, Field(ge=-100, le=100)]] = Field({})
    seed: int | None = Field(None, ge=-(2**63), lt=2**64)
    stop: Annotated[list[str], BeforeValidator(_as_list)] = Field([], max_length=16)
    max_tokens: int | None = Field(None, ge=1)

    @property
    def max_new_tokens(self) -> int | None:
        """Maximum number of new tokens; None: as many as fit the context."""
        return self.max_tokens

    @property
    def n_top_logprobs(self) -> int | None:
        """Number of top log-probabilities per position; None: no log-probabilities at all."""
        raise NotImplementedError


class ChatRequest(ApiRequest):
    """The body of a POST to /v1/chat/completions."""

    messages: list[ChatMessage] = Field(min_length=1)
    logprobs: bool = False
    top_logprobs: int = Field(0, ge=0, le=MAX_TOP_LOGPROBS)
    max_completion_tokens: int | None = Field(None, ge=1)
    tools: Unsupported = None
    functions: Unsupported = None
    response_format: Unsupported = None

    @model_validator(mode="after")
    def _check(self) -> ChatRequest:
        if self.top_logprobs and not self.logprobs:
            raise ValueError("“top_logprobs” requires “logprobs”: true")
        return self

    @property
    def max_new_tokens(self) -> int | None:
        return self.max_completion_tokens or self.max_tokens

    @property
    def n_top_logprobs(self) -> int | None:
        return self.top_logprobs if self.logprobs else None


class CompletionRequest(ApiRequest):
    """The body of a POST to /v1/completions. As in OpenAI's API, max_tokens defaults to 16."""

    prompt: Annotated[list[Any], BeforeValidator(_prompts)] = Field(max_length=MAX_CHOICES)
    max_tokens: int | None = Field(16, ge=1)
    logprobs: int | None = Field(None, ge=0, le=MAX_TOP_LOGPROBS)
    echo: bool = False
    suffix: Unsupported = None
    best_of: Unsupported = None

    @model_validator(mode="after")
    def _check(self) -> CompletionRequest:
        if len(self.prompt) * self.n > MAX_CHOICES:
            raise ValueError(f"{len(self.prompt)} prompts with n = {self.n} make more than {MAX_CHOICES} texts")
        if self.echo and self.logprobs is not None:
            raise ValueError("“echo” and “logprobs” cannot be combined: prompt tokens are not scored")
        return self

    @property
    def n_top_logprobs(self) -> int | None:
        return self.logprobs


Body = TypeVar("Body", ChatRequest, CompletionRequest)


def read_body(data: bytes, kind: type[Body]) -> Body:
    """Parse and validate a request body.

    Raises:
        ApiError: 400, if the body is not JSON or not a valid request.
    """
    try:
        values = json.loads(data, parse_constant=_no_constant)
        if b"\\ud" in data.lower():  # it may contain an unpaired surrogate
            json.dumps(values, ensure_ascii=False).encode()
    except RecursionError:
        raise ApiError(400, "The body is nested too deeply.") from None
    except ValueError as error:  # also if the bytes are not UTF-8
        raise ApiError(400, f"The body is not valid JSON in UTF-8 ({error}).") from error
    if not isinstance(values, dict):
        raise ApiError(400, "The body must be a JSON object.")
    try:
        # Clients send null for settings that they leave at their defaults.
        return kind.model_validate({name: value for name, value in values.items() if value is not None})
    except ValidationError as error:
        raise _first_error(error) from error


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number in JSON")


def _first_error(error: ValidationError) -> ApiError:
    """Return the first validation error, with the path of the field."""
    first = error.errors(include_url=False, include_input=False)[0]
    parts = [part for part in first["loc"] if part != "[key]"]
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).removeprefix(".")
    if first["type"] == "missing":
        return ApiError(400, f"“{path}” is missing.", param=path, code="missing_required_parameter")
    problem = (
        first["msg"].removeprefix("Value error, ").replace("Input should", "it should").replace(" after validation", "")
    )
    sentence = f"“{path}”: {problem}." if path else f"{capitalized(problem)}."
    return ApiError(400, sentence, param=path or None, code="invalid_value")
