"""What callers' keys may use: asked once, settled once, by what the client got."""

import pytest

from tests import fakes
from tests.fakes import plan
from twospeed.dialects.openai_chat import DIALECT
from twospeed.errors import Kind
from twospeed.policy.access import Caller
from twospeed.policy.estimate import Estimates
from twospeed.policy.limit import Limit, Refusal
from twospeed.quotas import Quotas, refused
from twospeed.stores.memory import MemoryLimits
from twospeed.types import Attempt, Usage

ANN = Caller("ann", b"", ["*"], Limit(rpm=2, tpm=10_000, concurrency=2))


class Desk:
    """One caller at the desk; `used` is what its key has used of a dimension."""

    def __init__(self) -> None:
        self.clock = fakes.Clock()
        self.limits = MemoryLimits(self.clock)
        self.quotas = Quotas(self.limits, Estimates(), lambda: 0.0)
        self.record = fakes.record()

    async def take(self):
        return await self.quotas.take(ANN, fakes.job(DIALECT, max_tokens=50).request, plan("a"), self.record)

    def used(self, dimension: str) -> int:
        return next(level.used for level in self.limits.levels(ANN.pool) if level.dimension == dimension)

    def tried(self, connected_at: float | None = 1.0) -> None:
        self.record.attempts.append(Attempt(plan("a").candidates[0].backend, 0.0, connected_at))


async def test_tokens_are_settled_to_what_the_client_got():
    """The estimate is replaced by what was used, and the slot is free again."""
    desk = Desk()
    permit = await desk.take()
    assert desk.used("tpm") > 50
    assert desk.used("concurrency") == 1
    desk.tried()
    desk.record.usage = Usage(7, 3)
    desk.quotas.settle(permit, desk.record)
    assert [desk.used(part) for part in ("rpm", "tpm", "concurrency")] == [1, 10, 0]


async def test_a_request_for_which_nobody_was_asked_costs_nothing():
    """Every provider was full: the key has used nothing."""
    desk = Desk()
    desk.quotas.settle(await desk.take(), desk.record)
    assert [desk.used(part) for part in ("rpm", "tpm", "concurrency")] == [0, 0, 0]


@pytest.mark.parametrize(
    ("fault", "connected_at", "read"),
    [(Kind.CLIENT_GONE, 1.0, True), (Kind.CLIENT_GONE, None, False), (Kind.PROVIDER_ERROR, 1.0, False)],
)
async def test_a_request_without_an_answer_counts_once(fault: Kind, connected_at: float | None, read: bool):
    """Its prompt is charged where the client itself left while somebody was reading it."""
    desk = Desk()
    permit = await desk.take()
    desk.tried(connected_at)
    desk.record.fault = fault
    desk.quotas.settle(permit, desk.record)
    assert desk.used("rpm") == 1
    assert desk.used("tpm") == (permit.ask.input_tokens if read else 0)


async def test_a_second_settlement_changes_nothing():
    """Whatever ends a request twice, its key pays once."""
    desk = Desk()
    permit = await desk.take()
    desk.tried()
    desk.record.usage = Usage(7, 3)
    desk.quotas.settle(permit, desk.record)
    desk.quotas.settle(permit, desk.record)
    assert desk.used("tpm") == 10


async def test_beyond_the_limit_the_wait_is_true():
    """Fault and headers tell when the request fits again; the record names key and dimension."""
    desk = Desk()
    await desk.take()
    await desk.take()
    desk.clock.now += 20.0
    refusal = await desk.take()
    assert isinstance(refusal, Refusal)
    assert 40.0 <= refused(ANN, refusal).retry_after <= 41.0
    assert desk.record.notes == [f"limited:@keys/ann:{refusal.dimension}"]
    headers = dict(desk.quotas.headers(ANN, False, refusal))
    assert headers[b"x-ratelimit-remaining-requests"] == b"0"
    assert 40.0 <= float(headers[b"x-ratelimit-reset-requests"][:-1]) <= 41.0


async def test_headers_speak_the_callers_language():
    """Anthropic's clients get their own names and an instant."""
    desk = Desk()
    await desk.take()
    headers = dict(desk.quotas.headers(ANN, True))
    assert headers[b"anthropic-ratelimit-requests-remaining"] == b"1"
    assert headers[b"anthropic-ratelimit-requests-reset"] == b"1970-01-01T00:01:00Z"


def test_a_key_without_limits_has_none():
    """Nobody is asked for it."""
    assert Caller("bob", b"", ["*"]).limit is None
    assert ANN.pool == "@keys/ann"
