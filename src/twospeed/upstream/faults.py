"""What a provider's status means as a Fault, and when it says the same request may succeed (R2, R9)."""

from collections.abc import Sequence

from twospeed.errors import Fault, Kind
from twospeed.policy.headers import Pair, find

_RETRYABLE = frozenset({500, 502, 503, 504, 529})
_CONFLICT = frozenset({408, 409, 425})


def fault_of_status(status: int, headers: Sequence[Pair], body: bytes) -> Fault:
    """Translate an answer that is not 2xx; `body` at most what was worth reading."""
    if status == 429:
        return Fault(
            Kind.PROVIDER_RATE_LIMITED,
            "the model provider is limiting requests",
            detail="provider answered 429",
            status=status,
            retry_after=retry_after(headers),
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
    return Fault(kind, detail=f"provider answered {status}", status=status, retry_after=retry_after(headers))


def retry_after(headers: Sequence[Pair]) -> float | None:
    """Read how many seconds to wait, None when the provider does not say.

    >>> retry_after([(b"retry-after", b"2")]), retry_after([(b"retry-after-ms", b"300")]), retry_after([])
    (2.0, 0.3, None)
    """
    for name, unit in ((b"retry-after-ms", 0.001), (b"retry-after", 1.0)):
        value = find(headers, name)
        if value.replace(b".", b"", 1).isdigit():
            return float(value) * unit
    return None
