"""Answers of our own, and what every answer says about itself.

Refusals, estimates and empty completions in the caller's dialect; headers with the request's id, tier, backend and reasons.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import cast

from twospeed.deciding import Call
from twospeed.dialects import Emptying, Estimating
from twospeed.errors import Fault, Kind
from twospeed.policy.allowance import restated, without_limits
from twospeed.policy.explaining import header
from twospeed.policy.headers import Pair, to_client, without_dialect
from twospeed.relay import Reply
from twospeed.types import Record, Request
from twospeed.upstream.client import Try

EVENT_STREAM = (b"content-type", b"text/event-stream")
JSON = (b"content-type", b"application/json")
_UNSURE = frozenset({b"x-twospeed-backend", b"x-twospeed-attempts"})  # not known before the commit point


class Answering:
    """Answers for one configuration snapshot.

    Args:
        wall: Seconds since the epoch.
    """

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall

    def headers(self, record: Record, attempt: Try | None, allowance: Sequence[Pair] = ()) -> list[Pair]:
        """Every answer says which request this was and where it went; a limited key hears of its own limits only."""
        headers = self._passed(attempt) if attempt else []
        if allowance:
            headers = [*without_limits(headers), *allowance]
        headers.append((b"x-request-id", record.id.encode()))
        headers += _decision(record.tier, record.backend, record.reasons[:3], len(record.attempts))
        if record.arm:
            headers += _arm_headers(record)
        if record.told:
            headers.append((b"x-twospeed-explain", header(record.explained)))
        return headers

    def early(self, call: Call, record: Record) -> list[Pair]:
        """Headers for a head that goes out before it is known who will serve."""
        return [pair for pair in self.headers(record, None, call.allowance) if pair[0] not in _UNSURE]

    def known(self, record: Record, allowance: Sequence[Pair] = ()) -> list[Pair]:
        """Headers for an answer that no backend gave: those that say something."""
        return [pair for pair in self.headers(record, None, allowance) if pair[1]]

    def refuse(self, call: Call, reply: Reply, record: Record, fault: Fault) -> None:
        """Record a fault and, where nothing was sent yet, answer it in the caller's dialect."""
        record.fault, record.fault_detail = fault.kind, fault.bare().detail
        if fault.kind is Kind.DENIED:
            record.reasons = (fault.detail,)
        if reply.started:
            if not reply.done:  # the head went out early, with a keep-alive: only the stream can say it now (R1)
                record.status = reply.status
                reply.finish(call.dialect.interrupt(fault, record.id))
            return
        refusal = call.dialect.refuse(fault, record.id)
        record.status, record.bytes_out = refusal.status, len(refusal.body)
        reply.send(refusal.status, [*refusal.headers, *self.known(record, call.allowance)], refusal.body)

    def estimate(self, call: Call, request: Request, reply: Reply, record: Record) -> None:
        """Answer here what no provider answers, and say that it is an estimate."""
        body = cast(Estimating, call.dialect).estimate(request)
        record.status, record.bytes_out = 200, len(body)
        record.notes.append("estimated")
        reply.send(200, [JSON, (b"x-twospeed-estimated", b"1"), *self.known(record)], body)

    def empty(self, call: Call, request: Request, reply: Reply, record: Record, fault: Fault) -> None:
        """Answer a completion without text; the record says what was wrong."""
        body = cast(Emptying, call.dialect).nothing(request, record.id, int(self._wall()))
        record.fault, record.fault_detail = fault.kind, fault.detail
        record.status, record.bytes_out = 200, len(body)
        headers = self.known(record, call.allowance)
        if request.stream:
            if not reply.started:  # else the head went out early, with a keep-alive
                reply.start(200, [EVENT_STREAM, *headers])
            reply.finish(body)
        else:
            reply.send(200, [JSON, *headers], body)

    def _passed(self, attempt: Try) -> list[Pair]:
        """Return the provider's headers for the client and, where asked for, what its translation left out."""
        passed = to_client(attempt.headers)
        if not attempt.translated:
            return passed
        anthropic = attempt.job.dialect.name.startswith("anthropic")
        passed = without_dialect(without_limits(passed)) + restated(attempt.headers, anthropic, self._wall())
        if anthropic:
            passed.append((b"request-id", attempt.job.id.encode()))  # where Anthropic's SDKs look for it
        if attempt.dropped and attempt.job.headers.get(b"x-twospeed-explain") == b"1":
            passed.append((b"x-twospeed-dropped", ", ".join(attempt.dropped).encode("ascii", "replace")))
        return passed


@lru_cache(maxsize=1_024)
def _decision(tier: str, backend: str, reasons: tuple[str, ...], attempts: int) -> tuple[Pair, ...]:
    return (
        (b"x-twospeed-tier", tier.encode()),
        (b"x-twospeed-backend", backend.encode("latin-1", "replace")),
        (b"x-twospeed-reason", ",".join(reasons).encode("latin-1", "replace")),
        (b"x-twospeed-attempts", b"%d" % attempts),
    )


def _arm_headers(record: Record) -> tuple[Pair, Pair]:
    return (b"x-twospeed-rollout", record.rollout.encode()), (b"x-twospeed-arm", record.arm.encode())
