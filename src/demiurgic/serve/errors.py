"""Errors as OpenAI's interface writes them, so that its clients raise what they should."""

from dataclasses import dataclass
from typing import Any

from demiurgic.core.errors import UserError
from demiurgic.providers.base import ContextTooLongError, ProviderError


@dataclass
class WireError(Exception):
    """An answer that is an error: its HTTP status, and what `{"error": {...}}` holds."""

    status: int
    message: str
    code: str | None = None
    param: str | None = None
    type: str = "invalid_request_error"
    retry_after_seconds: int | None = None

    def body(self) -> dict[str, Any]:
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}

    def headers(self) -> dict[str, str]:
        headers = {"WWW-Authenticate": "Bearer"} if self.status == 401 else {}
        if self.retry_after_seconds is not None:
            headers["Retry-After"] = str(self.retry_after_seconds)
        return headers


def wire_error(error: Exception) -> WireError:
    """What a client is told of an exception; of one that is our own fault nothing but that it happened."""
    match error:
        case WireError():
            return error
        case ContextTooLongError():
            return WireError(400, str(error), code="context_length_exceeded", param="messages")
        case ProviderError(retryable=True):
            return WireError(503, str(error), code="unavailable", type="server_error", retry_after_seconds=1)
        case ProviderError():
            return WireError(502, str(error), code="engine_failed", type="server_error")
        case UserError():
            return WireError(400, str(error))
        case _:
            return WireError(500, "The server failed; its log says why.", code="internal_error", type="server_error")
