"""Trace context in and out (W3C Trace Context, level 1), and which requests leave a trace behind.

    caller's traceparent -> begin -> Trace -> one child per attempt -> outgoing -> the provider

Ids are settled when a request begins, so that the provider sees the attempt's span as its parent; spans themselves are
built later, from the record. Where nothing is recorded here, the caller's context passes through untouched.
"""

import re
from collections.abc import Callable, Mapping

from twospeed.types import Record, Trace

Pair = tuple[bytes, bytes]
LONGEST_STATE = 512  # characters of tracestate that everyone on the way must carry; more is dropped whole

_PARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_MEMBER = r"[ \t]*(?:[a-z0-9][a-z0-9_\-*/@]{0,255}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{1,256})?[ \t]*"
_STATE = re.compile(rf"{_MEMBER}(?:,{_MEMBER}){{0,31}}".encode())
_SPAN_BITS = 64
_SPANS = 1 << _SPAN_BITS
_SPAN = _SPANS - 1
_NO_SPAN, _ONE = f"{0:016x}", f"{1:016x}"  # all zeros is no valid id


def begin(headers: Mapping[bytes, bytes], ratio: float | None, bits: Callable[[int], int]) -> Trace | None:
    """Join the caller's trace or begin one; None when there is nothing to record and nothing to pass on.

    Args:
        headers: The client's, names in lower case.
        ratio: Share of requests to sample, 0..1; None when traces go nowhere.
        bits: Gives that many random bits.

    >>> begin({b"traceparent": b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01"}, None, lambda n: 1).parent
    'bbbbbbbbbbbbbbbb'
    """
    parent = headers.get(b"traceparent")
    joined = _joined(parent, headers.get(b"tracestate", b"")) if parent else None
    if ratio is None:
        return joined
    chance = bits(3 * _SPAN_BITS)
    text = chance.to_bytes(3 * _SPAN_BITS // 8).hex()
    span, trace = text[:16].replace(_NO_SPAN, _ONE), text[16:]
    if joined is None:
        if trace == _NO_SPAN + _NO_SPAN:
            trace = _NO_SPAN + _ONE
        return Trace(trace, span, "", (chance & _SPAN) < ratio * _SPANS)
    # By the id, so that the same trace gets the same answer from every proxy it passes.
    sampled = joined.sampled or int(joined.id[16:], 16) < ratio * _SPANS
    return Trace(joined.id, span, joined.parent, sampled, joined.state)


def child(trace: Trace | None, number: int) -> str:
    """Name the span of attempt `number`, the first is 1; "" when nothing is recorded.

    >>> child(Trace("a" * 32, "00000000000000ff"), 1)
    '0000000000000100'
    """
    if trace is None or not trace.span:
        return ""
    return ((int(trace.span, 16) + number) & _SPAN or number).to_bytes(_SPAN_BITS // 8).hex()


def outgoing(trace: Trace | None, span: str) -> tuple[Pair, ...]:
    """Return the headers that tell a provider which span its request belongs to.

    Args:
        span: From `child`; "" passes the caller's own on.
    """
    if trace is None:
        return ()
    parent = f"00-{trace.id}-{span or trace.parent}-{'01' if trace.sampled else '00'}".encode()
    if trace.state:
        return ((b"traceparent", parent), (b"tracestate", trace.state.encode()))
    return ((b"traceparent", parent),)


def exported(record: Record) -> bool:
    """Say whether a finished request leaves a trace: sampled, or with a fault or more than one attempt in it."""
    trace = record.trace
    if trace is None or not trace.span:
        return False
    return trace.sampled or record.fault is not None or len(record.attempts) > 1


def _joined(parent: bytes, state: bytes) -> Trace | None:
    """Read a caller's context; a bad traceparent counts as none, and then its tracestate is not looked at."""
    match = _PARENT.fullmatch(parent.strip())
    if match is None:
        return None
    version, trace, span, flags, rest = match.groups()
    if version == b"ff" or (version == b"00" and rest) or not trace.strip(b"0") or not span.strip(b"0"):
        return None
    kept = state.strip().decode() if len(state) <= LONGEST_STATE and _STATE.fullmatch(state) else ""
    return Trace(trace.decode(), "", span.decode(), bool(int(flags, 16) & 1), kept)
