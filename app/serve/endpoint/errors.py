"""Failed requests as errors in OpenAI's format."""

from __future__ import annotations

from terrarium.app.worker.failures import describe
from terrarium.models.custom_blocks.store import NotAllowedError


class ApiError(Exception):
    """An error response: HTTP status, message and, if known, the parameter at fault and a code."""

    def __init__(self, status: int, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code

    @property
    def body(self) -> dict[str, object]:
        """The JSON of the response."""
        kinds = {429: "rate_limit_error"}
        kind = kinds.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}


class ModelGoneError(ValueError):
    """The model is not available, or became unavailable while answering; the message says why."""


def as_api_error(error: Exception) -> ApiError:
    """Return the error response for an exception raised while an answer was generated."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, ModelGoneError | NotAllowedError):
        return ApiError(503, str(error), code="model_unavailable")
    return ApiError(500, describe(error).sentence)
