"""What a finished request tells the judge of its rollout.

What the candidate did not answer counts as its failure, whoever answered in the end, and so does what was never asked of it
because its breaker was open or its limits were full. A client that left before it heard anything waited at least that long.
What a client did wrong tells nothing of either version.
"""

from twospeed.errors import MEANING, Kind, Source
from twospeed.policy.answers import stalled
from twospeed.policy.estimate import BYTES_PER_TOKEN
from twospeed.policy.held import Sighting
from twospeed.policy.judge.observation import Observation
from twospeed.types import Record

_LEFT = frozenset({Kind.CLIENT_GONE, Kind.CLIENT_STALLED, Kind.SUPERSEDED})
_NOBODYS = frozenset({Kind.DRAINING, Kind.OVERLOADED, Kind.RATE_LIMITED, Kind.WITHDRAWN})  # when no backend was tried


def sighted(record: Record, lost: int = 0) -> Sighting | None:
    """Return what one record tells, None when it tells nothing.

    Args:
        lost: Sightings dropped before this one.
    """
    offer = record.offer
    if offer is None or record.arm not in ("candidate", "stable") or _withdrawn(record):
        return None
    ok = _ok(record, offer.candidate if record.arm == "candidate" else offer.stable)
    left = record.fault in _LEFT
    if ok is None and not (left and record.attempts and record.ended_at > record.started_at):
        return None
    seen = Observation(
        ts=record.started_wall + (record.ended_at - record.started_at),
        session=record.session,
        arm="candidate" if record.arm == "candidate" else "stable",
        latency_ms=None if left and record.committed_at is not None else (record.ended_at - record.started_at) * 1e3,
        ttft_ms=_first_token(record),
        ok=ok,
        output_tokens=record.usage.output_tokens if record.usage else None,
        prompt_tokens=record.bytes_in / BYTES_PER_TOKEN,  # counted alike for both versions
        language=record.language or None,
        repo=record.repo or None,
        refusal=record.refusal,
        tool_call_valid=record.tool_call_valid,
        stall=stalled(record),
    )
    trace = record.trace.id if record.trace is not None else ""
    return Sighting(offer.rollout, offer.attempt, record.step, seen, lost=lost, trace=trace)


def _ok(record: Record, version: str) -> bool | None:
    """Say whether a version served its request, None when that is nobody's doing or the client's."""
    fault, attempts = record.fault, record.attempts
    served = bool(attempts) and attempts[-1].backend.name == version
    if fault is None:
        return served
    if fault in _LEFT or (not attempts and fault in _NOBODYS):
        return None
    if MEANING[fault].source is Source.CLIENT:
        return None
    return False


def _withdrawn(record: Record) -> bool:
    """Say whether the version was taken back while the request was under way."""
    return any(note.startswith("withdrawn:") for note in record.notes)


def _first_token(record: Record) -> float | None:
    if not record.stream:
        return None
    at = record.committed_at if record.committed_at is not None else record.ended_at
    return (at - record.started_at) * 1e3
