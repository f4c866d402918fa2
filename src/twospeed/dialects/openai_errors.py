"""Errors as OpenAI's APIs write them, for chat, completions and embeddings.

`{"error": {"message", "type", "param", "code"}}`; `code` is our kind, except where clients act on OpenAI's own word.
Source: OpenAI API reference, "Error codes"; retry headers as the OpenAI SDKs read them.
"""

import math
from typing import Any

import msgspec

from twospeed.dialects import Refusal
from twospeed.errors import Fault, Kind, Source

_encode = msgspec.json.Encoder().encode

CODES = {
    Kind.MODEL_NOT_FOUND: "model_not_found",
    Kind.UNAUTHORIZED: "invalid_api_key",
    Kind.CONTEXT_TOO_LONG: "context_length_exceeded",  # agents compact their history when they read this
}
_TYPES = {
    Kind.UNAUTHORIZED: "authentication_error",
    Kind.RATE_LIMITED: "rate_limit_error",
    Kind.PROVIDER_RATE_LIMITED: "rate_limit_error",
}
# Repeating these word for word ends the same way. Other 5xx are left to the client's own rule.
_POINTLESS = frozenset({Kind.UPSTREAM_AUTH_ERROR, Kind.ANSWER_TOO_LARGE, Kind.UPGRADE_REFUSED})
_BUSY = frozenset({429, 503})
_DETAIL_CHARS = 200


def refuse(fault: Fault) -> Refusal:
    """Say the fault as a whole answer, before anything was sent (R10)."""
    if fault.kind is Kind.PROVIDER_REFUSED and _is_error(fault.body):
        return Refusal(refused_status(fault), headers_of(fault), fault.body)
    error = {"message": fault.message, "type": _type(fault), "param": fault.param, "code": _code(fault)}
    return Refusal(refused_status(fault), headers_of(fault), _encode({"error": error}))


def interrupt(fault: Fault) -> bytes:
    """Say the fault as the one event that ends a stream already begun (R11); no [DONE] follows it."""
    error = {"message": fault.message, "type": _type(fault), "code": _code(fault)}
    return b"data: " + _encode({"error": error}) + b"\n\n"


def provider_error(error: msgspec.Raw) -> Fault:
    """Return the fault for an error object or text that a provider sent under a good status.

    The client gets a sentence of ours; the provider's words go to operators, 200 characters at most.
    """
    try:
        told = msgspec.json.decode(error)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        told = None
    told = told if isinstance(told, dict) else {"message": told}
    words = " ".join(str(told[key]) for key in ("type", "code", "message") if told.get(key))
    message = "The provider reported an error in its answer."
    return Fault(Kind.ERROR_EVENT, message, detail=words[:_DETAIL_CHARS], status=_status(told))


def _status(told: dict[str, Any]) -> int | None:
    for key in ("status", "code"):
        text = str(told.get(key, ""))
        if len(text) == 3 and text.isascii() and text.isdigit() and text >= "400":
            return int(text)
    return None


def _is_error(body: bytes) -> bool:
    try:
        told = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return not told.keys().isdisjoint({"error", "message", "detail"})


def refused_status(fault: Fault) -> int:
    """Return the status a client sees: that of the provider where it refused the request itself."""
    if fault.kind is Kind.PROVIDER_REFUSED and fault.status and 400 <= fault.status < 500:
        return fault.status
    return fault.meaning.status


def _type(fault: Fault) -> str:
    if fault.kind in _TYPES:
        return _TYPES[fault.kind]
    return "invalid_request_error" if fault.meaning.source is Source.CLIENT else "server_error"


def _code(fault: Fault) -> str:
    return CODES.get(fault.kind, fault.kind.value)


def headers_of(fault: Fault) -> tuple[tuple[bytes, bytes], ...]:
    """Return the headers of an error: when to come back, or not to; the SDKs of both vendors read the same ones."""
    headers = [(b"content-type", b"application/json")]
    if fault.meaning.status in _BUSY:
        wait = fault.retry_after if fault.retry_after is not None else 1.0
        headers.append((b"retry-after", b"%d" % max(1, math.ceil(wait))))
        headers.append((b"retry-after-ms", b"%d" % max(1, math.ceil(wait * 1000))))
        headers.append((b"x-should-retry", b"true"))
    elif fault.kind in _POINTLESS or (fault.meaning.source is Source.CLIENT and fault.meaning.status != 408):
        headers.append((b"x-should-retry", b"false"))
    return tuple(headers)
