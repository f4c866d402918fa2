"""What a provider's status means as a Fault (R2)."""

import re
from collections.abc import Sequence

import msgspec

from twospeed.errors import Fault, Kind
from twospeed.policy.advice import retry_after
from twospeed.policy.headers import Pair


class _Told(msgspec.Struct):
    message: str | None = None
    code: str | int | None = None


class _Refusal(msgspec.Struct):
    error: _Told | None = None


_decode_refusal = msgspec.json.Decoder(_Refusal)
_LONGEST = 1_000  # characters of a provider's message that a client gets to see
_TOO_LONG = re.compile(r"prompt is too long|maximum context length|context[ _]window|context length", re.IGNORECASE)
_CONFLICT = frozenset({408, 409, 425})


def fault_of_status(status: int, headers: Sequence[Pair], body: bytes, now_wall: float) -> Fault:
    """Translate an answer that is not 2xx.

    Args:
        body: At most what was worth reading.
        now_wall: Seconds since the epoch; headers may name an instant.
    """
    if status == 429:
        return Fault(
            Kind.PROVIDER_RATE_LIMITED,
            "the model provider is limiting requests",
            detail="provider answered 429",
            status=status,
            retry_after=retry_after(headers, now_wall),
        )
    if status in (401, 403):
        return Fault(
            Kind.UPSTREAM_AUTH_ERROR,
            "the model provider refused the router's credentials; tell the operator",
            detail=f"provider answered {status}: check the provider's key",
            status=status,
        )
    if status in _CONFLICT:
        return Fault(Kind.PROVIDER_CONFLICT, detail=f"provider answered {status}", status=status)
    if 400 <= status < 500:
        return Fault(
            Kind.PROVIDER_REFUSED,
            "the model provider refused the request",
            detail=f"provider answered {status}",
            status=status,
            body=body,
        )
    kind = Kind.PROVIDER_ERROR if status >= 500 else Kind.BAD_ANSWER  # 1xx never comes here, 3xx is never followed
    return Fault(kind, detail=f"provider answered {status}", status=status, retry_after=retry_after(headers, now_wall))


def retold(fault: Fault) -> Fault:
    """Take from a refusal in another dialect than the caller's what it says, so that it can be said in the caller's."""
    if fault.kind is not Kind.PROVIDER_REFUSED or not fault.body:
        return fault
    try:
        told = _decode_refusal.decode(fault.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        told = _Refusal()
    fault.body = b""
    message, code = (told.error.message or "", told.error.code) if told.error else ("", None)
    if code == "context_length_exceeded" or _TOO_LONG.search(message):
        return Fault(Kind.CONTEXT_TOO_LONG, message[:_LONGEST], detail=fault.detail, status=fault.status)
    fault.message = message[:_LONGEST] or fault.message
    return fault
