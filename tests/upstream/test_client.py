"""One attempt at one backend."""

import pytest
from tests import fakes
from tests.fakes import DONE, STOP, TEXT, Clock, Notes, Transport, plain, streaming

from twospeed.dialects.openai_chat import DIALECT
from twospeed.errors import Fault, Kind
from twospeed.policy.limit import Ask, Limit, Permit
from twospeed.types import Attempt
from twospeed.upstream.client import Try

ANSWER = b'{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":2}}'
CLOCK = Clock()


async def begun(exchange, **options: object) -> Try:
    """An attempt at its commit point."""
    candidate = fakes.candidate("a")
    permit = Permit("1", Ask("a/m", Limit(), 40, 1000), 0.0)
    job = fakes.job(DIALECT, **options)
    attempt = Try(job, candidate, fakes.link(Transport(exchange)), Attempt(candidate.backend, 100.0), permit)
    await attempt.connect(160.0, CLOCK)
    await attempt.begin(160.0, CLOCK)
    return attempt


async def test_request_is_rebuilt_with_our_key_and_the_allowed_headers():
    """The provider sees its own key and model, and none of the client's credentials."""
    exchange = streaming(TEXT)
    headers = {
        b"authorization": b"Bearer theirs",
        b"cookie": b"x",
        b"openai-beta": b"v1",
        b"connection": b"openai-beta",
    }
    await begun(exchange, headers=headers)
    path, sent, body = exchange.sent[0]
    assert path == "/chat/completions"
    assert sent[b"authorization"] == b"Bearer ours"
    assert b"cookie" not in sent
    assert b"openai-beta" not in sent  # nominated by Connection, so it ends here
    assert b'"model": "m"' in body


async def test_the_wish_for_the_beta_api_goes_upstream():
    """Claude Code asks for it behind the path; a key that stood there would end here."""
    exchange = streaming(TEXT)
    candidate = fakes.candidate("a")
    job = fakes.job(DIALECT)
    job.query = "key=x&beta=true"
    attempt = Try(job, candidate, fakes.link(Transport(exchange)), Attempt(candidate.backend, 100.0), None)
    await attempt.connect(160.0, CLOCK)
    await attempt.begin(160.0, CLOCK)
    assert exchange.sent[0][0] == "/chat/completions?beta=true"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Kind.PROVIDER_REFUSED),
        (401, Kind.UPSTREAM_AUTH_ERROR),
        (403, Kind.UPSTREAM_AUTH_ERROR),
        (404, Kind.PROVIDER_REFUSED),
        (408, Kind.PROVIDER_CONFLICT),
        (409, Kind.PROVIDER_CONFLICT),
        (413, Kind.PROVIDER_REFUSED),
        (429, Kind.PROVIDER_RATE_LIMITED),
        (500, Kind.PROVIDER_ERROR),
        (529, Kind.PROVIDER_ERROR),
        (302, Kind.BAD_ANSWER),
    ],
)
async def test_status_becomes_a_fault(status: int, kind: Kind):
    """Every status that is no answer has one meaning."""
    with pytest.raises(Fault) as caught:
        await begun(plain(b'{"error":{"message":"no"}}', b"", status=status))
    assert caught.value.kind is kind
    assert caught.value.status == status


async def test_stream_must_be_an_event_stream():
    """A JSON or HTML answer to a streamed request is a failure, before anything is shown."""
    with pytest.raises(Fault) as caught:
        await begun(streaming(TEXT, headers=((b"content-type", b"application/json"),)))
    assert caught.value.kind is Kind.BAD_ANSWER


async def test_role_and_comments_are_not_yet_content():
    """The commit point is the first content, not the first byte."""
    role = b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}\n\n'
    attempt = await begun(streaming(b": busy\n\n", role, TEXT, STOP))
    assert b"".join(attempt.held) == b": busy\n\n" + role + TEXT
    assert len(attempt.exchange.steps) == 1


async def test_content_and_failure_in_one_read_is_committed_and_broken():
    """Content that came together with its failure is still shown, with the failure behind it."""
    attempt = await begun(streaming(TEXT + b"data: {oops\n\n"))
    assert attempt.broken is not None
    assert attempt.broken.kind is Kind.BAD_ANSWER


async def test_empty_but_finished_stream_is_an_answer():
    """A model may say nothing and finish properly."""
    attempt = await begun(streaming(STOP + DONE))
    assert b"".join(attempt.held) == STOP + DONE


async def test_plain_answer_is_read_whole_and_its_usage_with_it():
    """An unstreamed answer commits as a whole."""
    attempt = await begun(plain(ANSWER[:40], ANSWER[40:], b""), stream=False)
    assert b"".join(attempt.held) == ANSWER
    assert attempt.usage is not None
    assert (attempt.usage.input_tokens, attempt.usage.output_tokens) == (5, 2)


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        (((b"request-id", b"a"),), "a"),
        (((b"request-id", b"a"), (b"x-request-id", b"b"), (b"x-request-id", b"c")), "b"),
        (((b"x-request-id", b"x" * 200),), "x" * 128),
        ((), ""),
    ],
)
async def test_the_provider_s_name_of_the_request_is_kept(headers, found: str):
    """Whoever asks a provider about an answer needs its own id for it: the first one, cut to what a record holds."""
    attempt = await begun(plain(ANSWER, headers=headers), stream=False)
    assert attempt.row.request_id == found
    assert (attempt.status, attempt.headers) == (200, headers)


async def test_too_large_answer_is_refused():
    """A provider cannot fill the memory."""
    with pytest.raises(Fault) as caught:
        await begun(plain(*([b"x" * 10_000_000] * 8), b""), stream=False)
    assert caught.value.kind is Kind.ANSWER_TOO_LARGE


async def test_closing_twice_settles_once():
    """Whoever closes first decides; usage read from the answer is what is counted."""
    notes = Notes()
    attempt = await begun(plain(ANSWER, b""), stream=False)
    attempt.close(None, 101.0, notes, notes)
    attempt.close(Kind.RESET, 102.0, notes, notes)
    assert notes.heard == [("settle", "a/m", 5, 2), ("succeeded", "a/m@r")]
    assert attempt.row.ended_at == 101.0


async def test_cut_stream_is_settled_to_what_it_delivered():
    """Without a usage chunk the reservation shrinks to the prompt's estimate and the events that came."""
    notes = Notes()
    attempt = await begun(streaming(TEXT, TEXT))
    attempt.close(Kind.TRUNCATED, 101.0, notes, notes)
    assert notes.heard[0][:3] == ("settle", "a/m", 40)
    assert 1 <= notes.heard[0][3] < 1000
    assert notes.heard[1] == ("failed", "a/m@r", Kind.TRUNCATED)


async def test_an_answer_is_named_when_that_is_asked_for():
    """Id and model stand in the row of its attempt then, and cost nothing elsewhere."""
    attempt = await begun(plain(b'{"id":"chatcmpl-1","model":"m-2026",' + ANSWER[1:], b""), stream=False)
    assert attempt.row.named == ("", "")
    attempt.name()
    assert attempt.row.named == ("chatcmpl-1", "m-2026")
