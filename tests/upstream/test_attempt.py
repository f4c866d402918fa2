"""The driver of the race: commands become connections, and every way out closes and settles."""

import asyncio

import pytest
from tests import fakes
from tests.fakes import DONE, STOP, TEXT, Clock, Notes, Transport, plain, plan, streaming

from twospeed.dialects.openai_chat import DIALECT
from twospeed.errors import Fault, Kind
from twospeed.policy.estimate import Estimates
from twospeed.policy.limit import Limit, Refusal
from twospeed.types import Candidate, Offer, Plan
from twospeed.upstream.attempt import Attempts


class Stage:
    """Two backends, `a` and `b`, and what happened to them."""

    def __init__(self, a: Transport, b: Transport) -> None:
        self.notes, self.clock, self.record = Notes(), Clock(), fakes.record()
        links = {"a/m@r": fakes.link(a, "a/m"), "b/m@r": fakes.link(b, "b/m")}
        self.attempts = Attempts(links, self.notes, self.notes, Estimates(), self.clock, lambda: 0.0)

    async def run(self, plan: Plan, **body: object):
        return await self.attempts.run(plan, fakes.job(DIALECT, **body), self.record)


async def test_first_content_wins_and_is_held():
    """What was read up to the commit point is kept for the client, byte for byte."""
    stage = Stage(Transport(streaming(TEXT, STOP + DONE)), Transport())
    attempt = await stage.run(plan("a", "b"))
    assert b"".join(attempt.held) == TEXT
    assert attempt.row.first_token_at == 100.0
    assert [row.backend.name for row in stage.record.attempts] == ["a/m@r"]


async def test_failure_closes_and_tells_before_the_next_is_asked():
    """A reset backend is closed, counted and settled; the next one serves."""
    broken = streaming(Fault(Kind.RESET))
    stage = Stage(Transport(broken), Transport(streaming(TEXT)))
    attempt = await stage.run(plan("a", "b"))
    assert attempt.row.backend.name == "b/m@r"
    assert broken.closed
    assert ("failed", "a/m@r", Kind.RESET) in stage.notes.heard
    assert [row.kind for row in stage.record.attempts] == [Kind.RESET, None]


async def test_first_token_timeout_cancels_the_silent_backend():
    """The exchange that did not speak in time is closed, not left running."""
    silent = streaming(b"", TimeoutError())
    silent.steps = [TimeoutError()]
    stage = Stage(Transport(silent), Transport(streaming(TEXT)))
    attempt = await stage.run(plan("a", "b"))
    assert silent.closed
    assert stage.record.attempts[0].kind is Kind.FIRST_TOKEN_TIMEOUT
    assert attempt.row.backend.name == "b/m@r"


async def test_reused_connection_that_died_is_replaced_once():
    """A kept-alive connection closed by the provider is not its failure: the request goes out again, on a fresh one."""
    dead, alive = streaming(Fault(Kind.RESET), reused=True), streaming(TEXT)
    transport = Transport(dead, alive)
    stage = Stage(transport, Transport())
    attempt = await stage.run(plan("a"))
    assert transport.connects == [False, True]
    assert dead.closed
    assert attempt.exchange is alive
    assert len(stage.record.attempts) == 1


async def test_stateful_request_never_takes_a_used_connection():
    """A request that must not be repeated starts on a connection that cannot be half dead."""
    transport = Transport(streaming(TEXT))
    stage = Stage(transport, Transport())
    await stage.run(plan("a"), store=True)
    assert transport.connects == [True]


async def test_full_provider_is_passed_over():
    """Limits are asked per candidate; a refusal is noted and nothing is sent."""
    first = Transport()
    stage = Stage(first, Transport(streaming(TEXT)))
    stage.notes.refusals["a/m"] = Refusal("rpm", 9.0)
    attempt = await stage.run(plan("a", "b"))
    assert attempt.row.backend.name == "b/m@r"
    assert first.connects == []
    assert stage.record.notes == ["limited:a/m:rpm"]


async def test_everything_full_is_a_rate_limit_with_the_soonest_wait():
    """The fault carries when it ends."""
    stage = Stage(Transport(), Transport())
    stage.notes.refusals |= {"a/m": Refusal("rpm", 9.0), "b/m": Refusal("tpm", 4.0)}
    with pytest.raises(Fault) as caught:
        await stage.run(plan("a", "b"))
    assert (caught.value.kind, caught.value.retry_after) == (Kind.RATE_LIMITED, 4.0)


async def test_open_breaker_is_tried_only_as_the_last_resort():
    """The last of a chain may be tried although its breaker is open, when the breaker grants that."""
    probes = Plan("fast", (fakes.candidate("a", probe=True), fakes.candidate("b", probe=True)), 160.0, True)
    stage = Stage(Transport(), Transport(streaming(TEXT)))
    with pytest.raises(Fault) as caught:
        await stage.run(probes)
    assert caught.value.kind is Kind.BREAKER_OPEN
    stage.notes.last_resorts.add("b/m@r")
    assert (await stage.run(probes)).row.backend.name == "b/m@r"


async def test_provider_429_silences_its_pool():
    """A 429 that says how long to wait is obeyed by everyone from then on, and the reservation comes back."""
    limited = plain(b"{}", b"", status=429, headers=((b"retry-after", b"7"),))
    stage = Stage(Transport(limited), Transport(streaming(TEXT)))
    await stage.run(plan("a", "b"))
    assert ("cool", "a/m", 7.0) in stage.notes.heard
    assert ("refund", "a/m") in stage.notes.heard


async def test_cancellation_closes_what_is_under_way():
    """When the client leaves, the exchange is closed at once and what was sent is settled, not refunded."""
    waiting = streaming()
    started = asyncio.Event()

    async def never(deadline: float) -> bytes:
        started.set()
        await asyncio.Event().wait()
        return b""

    waiting.read = never
    stage = Stage(Transport(waiting), Transport())
    task = asyncio.create_task(stage.run(plan("a", "b")))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert waiting.closed
    assert stage.record.attempts[0].kind is Kind.CLIENT_GONE
    assert [note[0] for note in stage.notes.heard] == ["settle"]


async def test_candidates_are_asked_in_their_order():
    """The driver adds no order of its own."""
    stage = Stage(Transport(streaming(TEXT)), Transport(Fault(Kind.CONNECT_FAILED)))
    attempt = await stage.run(plan("b", "a"))
    assert isinstance(attempt.candidate, Candidate)
    assert [row.backend.provider for row in stage.record.attempts] == ["b", "a"]


async def test_a_probe_that_a_limit_refuses_is_given_back():
    """A claimed probe that never reaches its backend keeps nobody else from probing."""
    stage = Stage(Transport(), Transport())
    stage.notes.last_resorts = {"a/m@r"}
    stage.notes.refusals = {"a/m": Refusal("rpm", 3.0)}
    with pytest.raises(Fault) as caught:
        await stage.run(Plan("fast", (fakes.candidate("a", probe=True),), 160.0, True))
    assert caught.value.kind is Kind.RATE_LIMITED
    assert stage.notes.heard == [("released", "a/m@r")]


async def test_a_probe_that_no_retry_is_left_for_is_given_back():
    """What is claimed is claimed for an attempt; without one others may probe."""
    stage = Stage(Transport(*[streaming(Fault(Kind.RESET)) for _ in range(9)]), Transport())
    stage.notes.last_resorts = {"a/m@r"}
    probe = Plan("fast", (fakes.candidate("a", probe=True),), 160.0, True)
    for _ in range(5):
        stage.record = fakes.record()
        with pytest.raises(Fault):
            await stage.run(probe)
    assert stage.record.notes == ["budget:a"]
    assert stage.notes.heard[-2:] == [("failed", "a/m@r", Kind.RESET), ("released", "a/m@r")]


async def test_only_requests_under_a_concurrency_limit_are_watched():
    """Their slot is kept from the admission until the attempt is closed."""
    stage = Stage(Transport(streaming(TEXT)), Transport(streaming(TEXT)))
    stage.attempts._links["a/m@r"].limit = Limit(concurrency=1)
    kept = stage.attempts._vigil._kept
    attempt = await stage.run(plan("a"))
    assert list(kept.values()) == [attempt.permit]
    stage.attempts.close(attempt, None)
    await stage.run(plan("b"))
    assert kept == {}


async def test_no_free_connection_is_not_the_providers_fault():
    """Where all connections are in use, the next backend is asked, and the breaker hears nothing."""
    stage = Stage(Transport(Fault(Kind.OVERLOADED)), Transport(streaming(TEXT)))
    await stage.run(plan("a", "b"))
    assert [row.kind for row in stage.record.attempts] == [Kind.OVERLOADED, None]
    assert not [heard for heard in stage.notes.heard if heard[0] == "failed"]


async def test_a_failing_provider_is_not_asked_again_beyond_its_budget():
    """Retries on the same provider come out of its budget; then the last error is the answer."""
    stage = Stage(Transport(*[streaming(Fault(Kind.RESET)) for _ in range(9)]), Transport())
    attempts = []
    for _ in range(5):
        stage.record = fakes.record()
        with pytest.raises(Fault) as caught:
            await stage.run(plan("a"))
        attempts.append(len(stage.record.attempts))
        assert caught.value.kind is Kind.RESET
    assert attempts == [2, 2, 2, 1, 1]


async def test_a_healthy_spare_takes_the_whole_load():
    """Falling back to another provider whose breaker is closed costs no budget."""
    stage = Stage(
        Transport(*[Fault(Kind.CONNECT_FAILED) for _ in range(30)]), Transport(*[streaming(TEXT) for _ in range(30)])
    )
    for _ in range(30):
        stage.record = fakes.record()
        assert (await stage.run(plan("a", "b"))).row.backend.name == "b/m@r"


async def test_what_a_provider_says_is_left_is_believed():
    """Where its limits are configured, its remaining counts correct ours."""
    headers = (*fakes.SSE, (b"x-ratelimit-remaining-requests", b"3"), (b"x-ratelimit-reset-requests", b"2s"))
    stage = Stage(Transport(streaming(TEXT, headers=headers)), Transport())
    links = stage.attempts._links
    links["a/m@r"] = fakes.replace(links["a/m@r"], limit=Limit(rpm=100))
    await stage.run(plan("a"))
    assert ("learn", "a/m", "rpm", 3, 2.0) in stage.notes.heard


async def test_reservations_shrink_to_what_answers_need():
    """After some small answers a large max_tokens reserves little."""
    answer = b'{"choices":[{"message":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":20,"completion_tokens":50}}'
    stage = Stage(Transport(*[plain(answer, b"") for _ in range(21)]), Transport())
    reserved = []
    for _ in range(21):
        stage.record = fakes.record()
        attempt = await stage.run(plan("a", stream=False), stream=False, max_tokens=900)
        reserved.append(attempt.permit.ask.output_tokens)
        stage.attempts.close(attempt, None)
    assert reserved[0] == 900
    assert reserved[-1] < 100


def on_trial(*names: str) -> tuple[Plan, Offer]:
    """A plan whose first candidate a rollout has on trial."""
    usual, offer = plan(*names), Offer("r", 1, "a/m@r", "b/m@r")
    first, *others = usual.candidates
    return fakes.replace(usual, candidates=(fakes.replace(first, offer=offer), *others)), offer


async def test_a_version_taken_back_is_not_asked():
    """A request that waited in line meanwhile goes to the next one."""
    stage = Stage(Transport(), Transport(streaming(TEXT)))
    trial, offer = on_trial("a", "b")
    offer.withdraw()
    attempt = await stage.run(trial)
    assert attempt.row.backend.name == "b/m@r"
    assert stage.record.notes == ["withdrawn:r"]


class Silent(fakes.Exchange):
    """Says nothing until it is closed."""

    def __init__(self) -> None:
        super().__init__(200, fakes.SSE, (), reused=False)
        self.asked, self.gone = asyncio.Event(), asyncio.Event()

    async def read(self, deadline: float) -> bytes:
        self.asked.set()
        await self.gone.wait()
        raise Fault(Kind.RESET)

    def close(self) -> None:
        self.closed = True
        self.gone.set()


async def test_who_waits_for_a_version_taken_back_goes_elsewhere_at_once():
    """Its breaker is not blamed for that, and nobody is left to be called away."""
    silent = Silent()
    stage = Stage(Transport(silent), Transport(streaming(TEXT)))
    trial, offer = on_trial("a", "b")
    asking = asyncio.create_task(stage.run(trial))
    async with asyncio.timeout(10):
        await silent.asked.wait()
        offer.withdraw()
        attempt = await asking
    assert attempt.row.backend.name == "b/m@r"
    assert [row.kind for row in stage.record.attempts] == [Kind.WITHDRAWN, None]
    assert not [heard for heard in stage.notes.heard if heard[0] == "failed"]
    assert offer.waiting == set()


async def test_an_answer_that_has_begun_is_left_alone():
    """A rollback calls nobody away from the middle of a stream."""
    exchange = streaming(TEXT, STOP + DONE)
    stage = Stage(Transport(exchange), Transport())
    trial, offer = on_trial("a", "b")
    attempt = await stage.run(trial)
    offer.withdraw()
    assert attempt.row.backend.name == "a/m@r"
    assert not exchange.closed
