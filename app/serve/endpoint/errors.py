"""What goes wrong with a request, in the shape that OpenAI's API gives it."""

from __future__ import annotations

from app.worker.failures import describe


class ApiError(Exception):
    """An answer that is no success: its HTTP status, a sentence, and where known the parameter at fault and a code."""

    def __init__(self, status: int, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code

    @property
    def body(self) -> dict[str, object]:
        """The JSON of the answer."""
        kinds = {429: "rate_limit_error"}
        kind = kinds.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}


class ModelGoneError(ValueError):
    """There is no model to answer with, or it went while it answered; a sentence says why."""


def as_api_error(error: Exception) -> ApiError:
    """What a client is told of an exception while its answer is made."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, ModelGoneError):
        return ApiError(503, str(error), code="model_unavailable")
    return ApiError(500, describe(error).sentence)
