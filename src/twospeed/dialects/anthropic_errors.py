"""Errors as Anthropic's API writes them: `{"type": "error", "error": {"type", "message"}, "request_id"}`.

Source: Anthropic API reference, "Errors"; retry headers as the Anthropic SDKs read them.
"""

import msgspec

from twospeed.dialects import Refusal
from twospeed.dialects.openai_errors import headers_of, refused_status
from twospeed.errors import Fault, Kind

_encode = msgspec.json.Encoder().encode

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
# In a stream only these two are understood by every client as worth another try (R11).
_BUSY = frozenset({Kind.RATE_LIMITED, Kind.PROVIDER_RATE_LIMITED, Kind.OVERLOADED, Kind.DRAINING, Kind.BREAKER_OPEN})


class _Told(msgspec.Struct):
    type: str | None = None
    message: str | None = None


class _Error(msgspec.Struct):
    error: _Told
    type: str = ""


_decode_error = msgspec.json.Decoder(_Error)


def refuse(fault: Fault, request_id: str = "") -> Refusal:
    """Say the fault as a whole answer, before anything was sent (R10); the SDKs read its id from the header."""
    status, headers = refused_status(fault), headers_of(fault)
    if request_id:
        headers = (*headers, (b"request-id", request_id.encode()))
    if fault.kind is Kind.PROVIDER_REFUSED and _is_own(fault.body):
        return Refusal(status, headers, fault.body)
    return Refusal(status, headers, _body(_type(fault, status), words(fault), request_id))


def interrupt(fault: Fault, request_id: str = "") -> bytes:
    """Say the fault as the one event that ends a stream already begun (R11); no message_stop follows it."""
    kind = "overloaded_error" if fault.kind in _BUSY else "api_error"
    return b"event: error\ndata: " + _body(kind, fault.message, request_id) + b"\n\n"


def words(fault: Fault) -> str:
    """Return the message; agents compact their history when they read that a prompt is too long."""
    if fault.kind is Kind.CONTEXT_TOO_LONG and "prompt is too long" not in fault.message:
        return f"prompt is too long: {fault.message}"
    return fault.message


def _type(fault: Fault, status: int) -> str:
    default = "invalid_request_error" if 400 <= status < 500 else "api_error"
    return _TYPES.get(status, default)


def _body(kind: str, message: str, request_id: str = "") -> bytes:
    return _encode({"type": "error", "error": {"type": kind, "message": message}, "request_id": request_id or None})


def _is_own(body: bytes) -> bool:
    try:
        return _decode_error.decode(body).type == "error"
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
