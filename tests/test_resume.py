"""Going on with a broken stream: who is asked, and what is counted."""

import pytest

from tests import fakes
from tests.fakes import TEXT, Clock, Notes, Transport, streaming
from twospeed.dialects import sse
from twospeed.dialects.openai_chat import DIALECT
from twospeed.dialects.quirks import Quirks
from twospeed.errors import Fault, Kind
from twospeed.policy.estimate import Estimates
from twospeed.resume import PATIENCE, Resume, may_resume
from twospeed.types import Switches
from twospeed.upstream.attempt import Attempts

PREFILLED = Quirks(prefill="plain")


class Stage:
    """Backend `a` has begun a stream; others may go on."""

    def __init__(self, **others: Transport) -> None:
        self.notes, self.record = Notes(), fakes.record()
        transports = {"a": Transport(streaming(TEXT)), **others}
        links = {f"{name}/m@r": fakes.link(transport, f"{name}/m") for name, transport in transports.items()}
        for link in links.values():
            link.quirks = PREFILLED
        self.links = links
        self.plan = fakes.replace(fakes.plan(*transports), resume=True)
        self.attempts = Attempts(links, self.notes, self.notes, Estimates(), Clock(), lambda: 0.0)

    async def begun(self) -> Resume:
        job = fakes.job(DIALECT)
        attempt = await self.attempts.run(self.plan, job, self.record)
        return Resume(self.attempts, self.plan, attempt.job, self.record, attempt, Clock())


async def test_the_next_backend_goes_on():
    """The broken one is closed and counted, the next one is shown what the client has."""
    exchange = streaming(TEXT)
    stage = Stage(b=Transport(exchange))
    resume = await stage.begun()
    attempt = await resume(Fault(Kind.TRUNCATED))
    assert attempt is resume.attempt
    assert b'{"role":"assistant","content":"hi"}' in exchange.sent[0][2]
    assert ("failed", "a/m@r", Kind.TRUNCATED) in stage.notes.heard
    assert [row.resumed for row in stage.record.attempts] == [False, True]
    assert resume.events == 2


async def test_what_came_with_the_break_is_not_lost():
    """First words and the break in one and the same read: the client gets those words, once, and then the others."""
    broken = TEXT + b"data: {oops\n\n"
    exchange = streaming(TEXT)
    stage = Stage(a=Transport(streaming(broken)), b=Transport(streaming(broken)), c=Transport(exchange))
    resume = await stage.begun()
    assert resume.attempt.broken is not None
    second = await resume(resume.attempt.broken)
    assert second is not None
    assert b"".join(second.held) == TEXT
    third = await resume(second.broken)
    assert third is not None
    assert [b"".join(third.held).count(b'"hi"'), exchange.sent[0][2].count(b'"hihi"')] == [2, 1]


async def test_one_that_cannot_be_joined_is_passed_over():
    """Where the next backend begins with an event of a wrong shape it is closed, and the one after it goes on."""
    odd = TEXT + sse.event(b'{"choices":[{"delta":"x"}]}')
    stage = Stage(b=Transport(streaming(odd)), c=Transport(streaming(TEXT)))
    resume = await stage.begun()
    attempt = await resume(Fault(Kind.TRUNCATED))
    assert attempt is not None
    assert attempt.row.backend.name == "c/m@r"
    assert ("failed", "b/m@r", Kind.BAD_ANSWER) in stage.notes.heard


async def test_clients_are_not_kept_waiting():
    """Whoever goes on must speak before clients take the silence for the end, however patient the tier is."""
    exchange = streaming(TEXT)
    deadlines = []

    async def send(path: str, headers: object, body: bytes, deadline: float) -> None:
        deadlines.append(deadline)

    exchange.send = send
    stage = Stage(b=Transport(exchange))
    first = stage.plan.candidates[0]
    patient = fakes.replace(first.timeouts, first_token=300.0)
    stage.plan = fakes.replace(
        stage.plan,
        deadline=1_000.0,
        candidates=tuple(fakes.replace(candidate, timeouts=patient) for candidate in stage.plan.candidates),
    )
    resume = await stage.begun()
    await resume(Fault(Kind.RESET))
    assert deadlines == [100.0 + PATIENCE]


async def test_usage_of_all_is_counted():
    """What the broken one used is estimated where it did not say."""
    stage = Stage(b=Transport(streaming(TEXT)))
    resume = await stage.begun()
    attempt = await resume(Fault(Kind.RESET))
    total = resume.total(attempt.estimate())
    assert total.output_tokens == 2
    assert total.estimated


@pytest.mark.parametrize("kind", [Kind.CLIENT_STALLED, Kind.TOTAL_TIMEOUT, Kind.ANSWER_TOO_LARGE])
async def test_some_breaks_are_nobody_elses_business(kind: Kind):
    """A client that does not read and a deadline that has passed end the stream."""
    other = Transport(streaming(TEXT))
    resume = await Stage(b=other).begun()
    assert await resume(Fault(kind)) is None
    assert other.connects == []


async def test_whoever_fails_is_followed_by_the_next():
    """Within three attempts in all."""
    down = Fault(Kind.CONNECT_FAILED)
    stage = Stage(b=Transport(down), c=Transport(streaming(TEXT)), d=Transport(streaming(TEXT)))
    resume = await stage.begun()
    assert (await resume(Fault(Kind.RESET))).row.backend.name == "c/m@r"
    assert await resume(Fault(Kind.RESET)) is None
    assert stage.record.notes[-1] == "resume:fast:failed"


def test_flags_and_requests_may_forbid_it():
    """A flag turns it off; an answer in JSON cannot be taken apart; a lone backend has nobody to follow it."""
    plan = fakes.replace(fakes.plan("a", "b"), resume=True)
    request, json = fakes.job(DIALECT).request, fakes.job(DIALECT, response_format={"type": "json_object"}).request
    assert may_resume(plan, DIALECT, request)
    assert not may_resume(fakes.plan("a", "b"), DIALECT, request)
    assert not may_resume(fakes.replace(plan, switches=Switches(resume=False)), DIALECT, request)
    assert not may_resume(plan, DIALECT, json)
    assert not may_resume(fakes.replace(plan, candidates=plan.candidates[:1]), DIALECT, request)
