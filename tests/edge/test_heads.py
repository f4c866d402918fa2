"""Heads that repeat: known again where nothing but the length differs, and read anew wherever anything else does."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.edge.test_wire import HEADS, LISTEN, MALFORMED, POST, mutated

from twospeed.edge.heads import Heads
from twospeed.edge.wire import Head, HeadReader
from twospeed.errors import Fault, Kind
from twospeed.policy.listen import Listen

HABIT = POST + b"X-A: b\r\nContent-Length: 12\r\nConnection: keep-alive\r\n\r\n"


def knowing(habit: bytes, listen: Listen = LISTEN) -> Heads:
    """Heads of a connection whose client has sent the same head twice."""
    heads = Heads(HeadReader(listen))
    for _ in range(2):
        heads.first(habit)
    return heads


def told(heads: Heads, data: bytes) -> object:
    """What is made of `data`: a head with its end, or how it is refused."""
    try:
        return heads.first(data)
    except Fault as fault:
        return fault.kind, fault.message, fault.detail


def anew(data: bytes, listen: Listen = LISTEN) -> object:
    """What is made of it by who remembers nothing."""
    return told(Heads(HeadReader(listen)), data)


def with_length(length: bytes) -> bytes:
    return HABIT.replace(b"12", length)


@pytest.mark.parametrize("length", [b"12", b"0", b"7", b"0012", b"2000000", b"9" * 18])
def test_another_length_is_the_same_head(length):
    """It is known by its bytes, and its length is its own."""
    heads = knowing(HABIT)
    head, end = heads.first(with_length(length) + b"{}")
    assert head is not None
    assert heads.known is not None
    assert head.headers is heads.known.headers
    assert (head.length, end) == (int(length), len(with_length(length)))
    assert (head, end) == anew(with_length(length) + b"{}")


ODD = {
    "no length": with_length(b""),
    "signed": with_length(b"+12"),
    "negative": with_length(b"-12"),
    "hexadecimal": with_length(b"0x12"),
    "with underscore": with_length(b"1_2"),
    "list": with_length(b"12, 12"),
    "spaced before": with_length(b" 12"),
    "spaced after": with_length(b"12 "),
    "spaced within": with_length(b"1 2"),
    "beyond all digits": with_length(b"1" * 19),
    "many zeros": with_length(b"0" * 200 + b"5"),
    "foreign digits": with_length("٥".encode()),
    "bare CR": with_length(b"12\r"),
    "bare LF": with_length(b"12\n"),
    "CR within": with_length(b"1\r2"),
    "another case of the name": HABIT.replace(b"Content-Length", b"content-length"),
    "another case of a value": HABIT.replace(b"X-A: b", b"X-A: B"),
    "other spaces": HABIT.replace(b"X-A: b", b"X-A:  b"),
    "two lengths, before": HABIT.replace(b"X-A: b", b"Content-Length: 12"),
    "two lengths, after": HABIT.replace(b"Connection: keep-alive", b"Content-Length: 12"),
    "two lengths, in the place of one": with_length(b"12\r\nContent-Length: 12"),
    "chunks besides": with_length(b"12\r\nTransfer-Encoding: chunked"),
    "chunks instead": HABIT.replace(b"Content-Length: 12", b"Transfer-Encoding: chunked"),
    "another header behind the length": with_length(b"12\r\nX-B: c"),
    "the end too soon": with_length(b"12\r\n\r\n"),
    "closing": HABIT.replace(b"keep-alive", b"close"),
    "another path": HABIT.replace(b"POST /", b"POST /a"),
    "another method": HABIT.replace(b"POST", b"PUT"),
    "HTTP/1.0": HABIT.replace(b"HTTP/1.1", b"HTTP/1.0"),
    "another host": HABIT.replace(b"Host: x", b"Host: y"),
    "a line end first": b"\r\n" + HABIT,
    "not all of it": HABIT[:-1],
    "not all of its length": HABIT[: HABIT.index(b"12") + 1],
    "nothing behind its length": HABIT[: HABIT.index(b"12") + 2],
}


@pytest.mark.parametrize("data", ODD.values(), ids=ODD)
def test_anything_else_is_read_anew(data):
    """Who knows a head and who knows none make the same of one that looks much like it."""
    heads = knowing(HABIT)
    known = heads.known
    for rest in (b"", b"{}", HABIT):
        assert told(heads, data + rest) == anew(data + rest)
    assert heads.known is known or told(heads, HABIT) == anew(HABIT)


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
def test_what_is_refused_is_refused_again(data):
    """A head that is not accepted is never remembered, however often it comes."""
    heads = Heads(HeadReader(LISTEN))
    assert {str(told(heads, data)) for _ in range(3)} == {str(anew(data))}
    assert heads.known is None


@settings(max_examples=400, deadline=None)
@given(st.one_of(HEADS, mutated(), st.just(HABIT)), st.lists(st.one_of(HEADS, mutated()), max_size=3), st.data())
def test_a_habit_changes_no_reading(habit, others, data):
    """Whatever came before, and whatever a head looks like, it is read as if it were the first of its connection."""
    heads = Heads(HeadReader(LISTEN))
    for head in (habit, habit, *others, habit):
        told(heads, head)
    at = data.draw(st.integers(0, len(habit)))
    bent = habit[:at] + data.draw(st.sampled_from([b"", b"1", b"\r\n", b" ", b",", b"a"])) + habit[at:]
    for sent in (habit, bent, bent[: data.draw(st.integers(0, len(bent)))], *others):
        assert str(told(heads, sent)) == str(anew(sent))


def test_each_request_has_a_head_of_its_own():
    """What the app leaves in one is not there in the next."""
    heads = knowing(HABIT)
    first, _ = heads.first(HABIT)
    assert first is not None
    first.context, first.length = "the app's", 3
    second, _ = heads.first(HABIT)
    assert second is not None
    assert (second.context, second.length) == (None, 12)


def test_what_the_app_leaves_in_a_head_is_not_remembered():
    """The head that is remembered is the one that was read, not the one that was served."""
    heads = Heads(HeadReader(LISTEN))
    for _ in range(3):
        head, _ = heads.first(HABIT)
        assert head is not None
        assert head.context is None
        head.context, head.path = "the app's", "/elsewhere"


def test_one_request_leaves_nothing_behind():
    """Many clients ask once for each connection: only who asks again is remembered."""
    heads = Heads(HeadReader(LISTEN))
    heads.first(HABIT)
    assert heads.known is None
    heads.first(HABIT)
    assert heads.known is not None
    heads.forget()
    assert heads.known is None
    assert told(heads, HABIT) == anew(HABIT)


def test_of_two_heads_in_turn_one_stays_known():
    """A client that counts tokens before it asks is known by one of the two."""
    other = POST.replace(b"/", b"/count", 1) + b"Content-Length: 3\r\n\r\n"
    heads = knowing(HABIT)
    known = heads.known
    for _ in range(3):
        assert told(heads, other) == anew(other)
        assert told(heads, HABIT) == anew(HABIT)
    assert heads.known is known
    told(heads, other)
    told(heads, other)
    assert heads.known is not known


@pytest.mark.parametrize(
    "data",
    [POST + b"\r\n", POST + b"Content-Length: 0\r\n\r\n", POST + b"Transfer-Encoding: chunked\r\n\r\n"],
    ids=["none", "zero", "chunked"],
)
def test_requests_without_a_length_are_not_remembered(data):
    """There is nothing to tell their heads apart by."""
    assert knowing(data).known is None


def test_long_heads_are_not_remembered():
    """What is kept for a connection is bounded, and a head that grows beyond the limit by its length is still refused."""
    listen = Listen.model_validate({"head_limit": f"{len(HABIT)}B"})
    heads = knowing(HABIT, listen)
    assert heads.known is None
    assert told(heads, with_length(b"123"))[0] is Kind.HEAD_TOO_LARGE
    assert knowing(POST + b"X-A: %b\r\nContent-Length: 1\r\n\r\n" % (b"a" * 3_000), Listen()).known is None
    near = Listen.model_validate({"head_limit": f"{len(HABIT) + 17}B"})
    assert knowing(HABIT, near).known is None
    enough = Listen.model_validate({"head_limit": f"{len(HABIT) + 18}B"})
    assert isinstance(told(knowing(HABIT, enough), with_length(b"1" * 18))[0], Head)
