"""What a request may hold, as OpenAI's API says it; wherever it differs, the answer is a sentence.

What has no meaning here (`user`, `store`, `metadata` …) is let pass; what would change the answer and is not offered
(tools, images, JSON mode …) is refused.
"""

from __future__ import annotations

import json
from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, create_model, model_validator

from app.serve.endpoint.errors import ApiError
from models.settings.sampling_config import NUMBERS, SamplingConfig

MOST_CHOICES = 32
"""Texts that one request may ask for."""
MOST_TOP = 20
"""Likeliest tokens told of at each place."""


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _one_text(value: Any) -> Any:
    """A message's content: one text, or parts that all are texts."""
    if not isinstance(value, list):
        return value
    texts = [part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None for part in value]
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("only parts of type “text” can be read here, no images, sounds or files")
    return "".join(text for text in texts if text is not None)


def _prompts(value: Any) -> Any:
    """A text or its token ids, or several of them, as a list of them."""
    if isinstance(value, str) or (isinstance(value, list) and value and all(type(item) is int for item in value)):
        return [value]
    is_list = isinstance(value, list) and len(value) > 0
    if not is_list or not all(isinstance(item, str) or _is_ids(item) for item in value):
        raise ValueError("it must be a text, a list of texts, token ids, or a list of those")
    return value


def _is_ids(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(type(item) is int for item in value)


def _nothing(value: Any) -> Any:
    if value in ([], {}, "", 1, {"type": "text"}):
        return None
    raise ValueError("this is not offered here, so leave it out")


Unoffered = Annotated[None, BeforeValidator(_nothing)]
"""A parameter that may only ask for what happens anyway."""


class Message(BaseModel):
    """One message of a conversation."""

    model_config = ConfigDict(strict=True)
    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[str, BeforeValidator(_one_text)]


class StreamOptions(BaseModel):
    """How a stream is told."""

    model_config = ConfigDict(strict=True)
    include_usage: bool = False


_Id = Annotated[str, Field(pattern="^[0-9]{1,9}$")]
"""A token, as JSON can name it."""


def _sampling_fields() -> dict[str, Any]:
    """The numbers of SamplingConfig as fields of a request, within the limits that they have everywhere."""
    slots = {f.name: f for f in fields(SamplingConfig)}
    limits = {name: slots[name].metadata["range"] for name in NUMBERS}
    return {
        name: (type(slots[name].default), Field(slots[name].default, ge=low, le=high, allow_inf_nan=False))
        for name, (low, high) in limits.items()
    }


if TYPE_CHECKING:
    _Sampled = BaseModel
else:
    _Sampled = create_model("_Sampled", **_sampling_fields())


class Asked(_Sampled):
    """What both kinds of requests share. All settings of the draw are here by SamplingConfig's names: what OpenAI's API
    does not know is an extension."""

    model_config = ConfigDict(strict=True)
    model: str
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    n: int = Field(1, ge=1, le=MOST_CHOICES)
    temperature: float = Field(1.0, ge=0, le=2, allow_inf_nan=False)
    top_k: int = Field(0, ge=-1, le=1_000_000)  # -1 is how other servers say all
    logit_bias: dict[_Id, Annotated[float, Field(ge=-100, le=100)]] = Field({})
    seed: int | None = Field(None, ge=-(2**63), lt=2**64)
    stop: Annotated[list[str], BeforeValidator(_listed)] = Field([], max_length=16)
    max_tokens: int | None = Field(None, ge=1)

    @property
    def max_new(self) -> int | None:
        """How many tokens are wanted at most; None: as many as fit."""
        return self.max_tokens

    @property
    def n_top(self) -> int | None:
        """How many likeliest tokens are told of at each place; None: no probabilities at all."""
        raise NotImplementedError


class ChatAsked(Asked):
    """The body of a POST to /v1/chat/completions."""

    messages: list[Message] = Field(min_length=1)
    logprobs: bool = False
    top_logprobs: int = Field(0, ge=0, le=MOST_TOP)
    max_completion_tokens: int | None = Field(None, ge=1)
    tools: Unoffered = None
    functions: Unoffered = None
    response_format: Unoffered = None

    @model_validator(mode="after")
    def _check(self) -> ChatAsked:
        if self.top_logprobs and not self.logprobs:
            raise ValueError("“top_logprobs” tells of nothing unless “logprobs” is true")
        return self

    @property
    def max_new(self) -> int | None:
        return self.max_completion_tokens or self.max_tokens

    @property
    def n_top(self) -> int | None:
        return self.top_logprobs if self.logprobs else None


class CompletionAsked(Asked):
    """The body of a POST to /v1/completions. As in OpenAI's API, texts are 16 tokens long unless more are asked for."""

    prompt: Annotated[list[Any], BeforeValidator(_prompts)] = Field(max_length=MOST_CHOICES)
    max_tokens: int | None = Field(16, ge=1)
    logprobs: int | None = Field(None, ge=0, le=MOST_TOP)
    echo: bool = False
    suffix: Unoffered = None
    best_of: Unoffered = None

    @model_validator(mode="after")
    def _check(self) -> CompletionAsked:
        if len(self.prompt) * self.n > MOST_CHOICES:
            raise ValueError(f"{len(self.prompt)} prompts with n = {self.n} are more than {MOST_CHOICES} texts")
        if self.echo and self.logprobs is not None:
            raise ValueError("“echo” cannot be had together with “logprobs”: the prompt's tokens are not scored")
        return self

    @property
    def n_top(self) -> int | None:
        return self.logprobs


Body = TypeVar("Body", ChatAsked, CompletionAsked)


def read_body(data: bytes, kind: type[Body]) -> Body:
    """The request in a body's bytes.

    Raises:
        ApiError: 400, where it is no JSON, or not what the API wants.
    """
    try:
        values = json.loads(data, parse_constant=_no_constant)
        if b"\\ud" in data.lower():  # where half of a character may be written
            json.dumps(values, ensure_ascii=False).encode()
    except RecursionError:
        raise ApiError(400, "The body is nested too deeply.") from None
    except ValueError as error:  # and those for bytes that are no text
        raise ApiError(400, f"The body is not valid JSON in UTF-8 ({error}).") from error
    if not isinstance(values, dict):
        raise ApiError(400, "The body must be a JSON object.")
    try:
        # null is how clients leave a setting off.
        return kind.model_validate({name: value for name, value in values.items() if value is not None})
    except ValidationError as error:
        raise _first_error(error) from error


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number in JSON")


def _first_error(error: ValidationError) -> ApiError:
    """The first thing that is wrong, with the place where it is."""
    first = error.errors(include_url=False, include_input=False)[0]
    parts = [part for part in first["loc"] if part != "[key]"]
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).removeprefix(".")
    if first["type"] == "missing":
        return ApiError(400, f"“{place}” is missing.", param=place, code="missing_required_parameter")
    words = (
        first["msg"].removeprefix("Value error, ").replace("Input should", "it should").replace(" after validation", "")
    )
    sentence = f"“{place}”: {words}." if place else f"{words[:1].upper()}{words[1:]}."
    return ApiError(400, sentence, param=place or None, code="invalid_value")
