"""Answers as plans: instants, bytes and endings, for every fault."""

import json
from random import Random

import pytest

from twospeed.upstream.script import Ask, Event, Origin, Part, Script
from twospeed.upstream.script.answer import Answer, Ending, Pace, document, failure, instead, plain, streamed
from twospeed.upstream.script.chat import ChatVoice
from twospeed.upstream.script.settings import FaultKind, FaultRule

VOICE, ORIGIN = ChatVoice(), Origin("sim1", 1_700_000_000)
ASK = Ask("/chat/completions", model="m", stream=True)
SCRIPT = Script(text=["a", "b", "c", "d"], input_tokens=1)


def pace(first: float = 1.0, gap: float = 0.5, jitter: float = 0.0) -> Pace:
    return Pace(first, gap, jitter, Random(1))


def stream(rule: FaultRule | None = None) -> Answer:
    return streamed(VOICE, ASK, SCRIPT, ORIGIN, pace(), 1, rule)


def body(answer: Answer) -> list[bytes]:
    return [data for _, data in answer.body]


def rule(kind: str, after: int = 2) -> FaultRule:
    return FaultRule(kind=FaultKind(kind), after_events=after)


def test_events_come_at_their_pace():
    """The role comes at once, the first token after its wait, then one token a gap; the end with the last token."""
    assert [at for at, _ in stream().body] == [0.0, 1.0, 1.5, 2.0, 2.5, 2.5, 2.5]
    assert stream().ending is Ending.WHOLE


def test_events_of_several_tokens_take_their_time():
    """An event of four tokens is ready when its last token is."""
    events = [Event(Part.CONTENT, b"", 4), Event(Part.CONTENT, b"", 2)]
    assert [at for at, _ in pace().over(events)] == [2.5, 3.5]


def test_noise_keeps_the_mean_speed():
    """With jitter gaps differ, never go back, and average to the speed that was set."""
    at = [at for at, _ in pace(0.0, 0.01, 0.5).over([Event(Part.CONTENT, b"", 1)] * 4000)]
    assert at == sorted(at)
    assert len(set(at)) == 4000
    assert 0.95 < at[-1] / 40 < 1.05


def test_unstreamed_answers_come_when_all_tokens_would_be_there():
    """Without streaming head and body come together, after the time the whole text takes."""
    answer = plain(VOICE, ASK, SCRIPT, ORIGIN, pace(), None)
    ((at, data),) = answer.body
    assert (answer.head_at, at, answer.length) == (2.5, 2.5, len(data))
    assert json.loads(data)["choices"][0]["message"]["content"] == "abcd"


CUTS = [
    ("stall", Ending.SILENT),
    ("reset", Ending.RESET),
    ("truncate", Ending.CLOSED),
    ("unfinished", Ending.WHOLE),
    ("bad_chunk", Ending.GARBLED),
]


@pytest.mark.parametrize(("kind", "ending"), CUTS)
@pytest.mark.parametrize("after", [0, 2, 99])
def test_cut_streams_never_look_finished(kind: str, ending: Ending, after: int):
    """A stream that breaks lets exactly k events through and never its finish, however short it is."""
    answer = stream(rule(kind, after))
    assert answer.ending is ending
    assert body(answer) == body(stream())[: min(after, 5)]


def test_error_event_ends_the_stream():
    """An error event comes after k events and nothing after it."""
    answer = stream(rule("error_event"))
    assert body(answer)[:2] == body(stream())[:2]
    assert b'"error"' in body(stream(rule("error_event", 0)))[0]
    assert answer.ending is Ending.WHOLE


def test_malformed_event_stands_in_the_middle():
    """A broken event comes after k events; the rest of the stream follows as if nothing had happened."""
    made = body(stream(rule("malformed")))
    good = body(stream())
    assert made[:2] + made[3:] == good
    with pytest.raises(json.JSONDecodeError):
        json.loads(made[2][6:])


def test_no_done_has_a_finish():
    """Only the very last line is missing."""
    assert body(stream(rule("no_done"))) == body(stream())[:-1]


@pytest.mark.parametrize(("kind", "ending"), [(kind, ending) for kind, ending in CUTS if kind != "unfinished"])
def test_unstreamed_answers_break_in_the_middle(kind: str, ending: Ending):
    """An unstreamed answer announces its whole length and breaks half way."""
    answer = plain(VOICE, ASK, SCRIPT, ORIGIN, pace(), rule(kind))
    assert answer.ending is ending
    assert answer.length is not None
    assert 0 < len(b"".join(body(answer))) < answer.length


@pytest.mark.parametrize("kind", ["malformed", "unfinished"])
def test_unstreamed_answers_can_be_broken_json(kind: str):
    """An unstreamed answer that ends properly can still be half of one."""
    answer = plain(VOICE, ASK, SCRIPT, ORIGIN, pace(), rule(kind))
    (data,) = body(answer)
    assert answer.length == len(data)
    with pytest.raises(json.JSONDecodeError):
        json.loads(data)


def test_unstreamed_errors_can_hide_under_a_good_status():
    """Status 200 with an error inside."""
    answer = plain(VOICE, ASK, SCRIPT, ORIGIN, pace(), rule("error_event"))
    assert answer.status == 200
    assert "error" in json.loads(body(answer)[0])


@pytest.mark.parametrize(
    ("kind", "after", "status", "ending"),
    [
        ("refuse", 3, 0, Ending.REFUSED),
        ("hang", 3, 0, Ending.SILENT),
        ("reset", 0, 0, Ending.RESET),
        ("empty", 3, 200, Ending.WHOLE),
        ("wrong_type", 3, 200, Ending.WHOLE),
        ("html", 3, 502, Ending.WHOLE),
        ("http", 3, 500, Ending.WHOLE),
        ("http_401", 3, 401, Ending.WHOLE),
        ("http_529", 3, 529, Ending.WHOLE),
    ],
)
def test_faults_without_any_answer(kind: str, after: int, status: int, ending: Ending):
    """Faults that need no text: no head at all, an error status, an empty body, a page of HTML."""
    answer = instead(VOICE, ORIGIN, rule(kind, after), stream=True)
    assert answer is not None
    assert (answer.status, answer.ending) == (status, ending)
    html = dict(answer.headers).get(b"content-type") == b"text/html"
    assert html is (kind in ("wrong_type", "html"))


@pytest.mark.parametrize("kind", ["slow", "stall", "reset", "no_done", "malformed"])
def test_other_faults_need_an_answer(kind: str):
    """Faults in the middle of an answer need one."""
    assert (
        instead(VOICE, ORIGIN, rule(kind) if kind != "slow" else FaultRule(kind=FaultKind.SLOW, delay="1s"), True)
        is None
    )


def test_rate_limits_say_when_to_come_back():
    """A 429 always has Retry-After, rounded up, with the exact time beside it; other errors only where set."""
    late = FaultRule(kind=FaultKind.HTTP_429, retry_after="1500ms")
    assert dict(failure(VOICE, ORIGIN, 429, "", late).headers)[b"retry-after"] == b"2"
    assert dict(failure(VOICE, ORIGIN, 429, "", late).headers)[b"retry-after-ms"] == b"1500"
    assert dict(failure(VOICE, ORIGIN, 429, "").headers)[b"retry-after"] == b"1"
    assert b"retry-after" not in dict(failure(VOICE, ORIGIN, 500, "").headers)


def test_documents_are_there_at_once():
    """A list of models takes no time."""
    assert next(document(b"{}", ORIGIN).body) == (0.0, b"{}")
