"""Orders in the request header."""

import pytest

from twospeed.upstream.script.directive import parse
from twospeed.upstream.script.settings import FaultKind

FIELDS = [
    ("stall:3", FaultKind.STALL, "after_events", 3),
    ("reset:0", FaultKind.RESET, "after_events", 0),
    ("reset", FaultKind.RESET, "after_events", 3),
    ("http_429:2", FaultKind.HTTP_429, "retry_after", 2.0),
    ("http_503:1500ms", FaultKind.HTTP_503, "retry_after", 1.5),
    ("http:418", FaultKind.HTTP, "status", 418),
    ("html", FaultKind.HTML, "status", None),
    ("html:503", FaultKind.HTML, "status", 503),
    ("slow:2s", FaultKind.SLOW, "delay", 2.0),
    ("slow", FaultKind.SLOW, "delay", 5.0),
    ("http_500:0.2", FaultKind.HTTP_500, "delay", 0.2),
]


@pytest.mark.parametrize(("text", "kind", "field", "value"), FIELDS)
def test_a_number_means_what_fits_the_kind(text: str, kind: FaultKind, field: str, value: object):
    """The number after the colon is events, a status, a Retry-After or a delay, as the kind needs it."""
    fault = parse(text, "sim").fault
    assert fault is not None
    assert fault.kind is kind
    assert getattr(fault, field) == value


@pytest.mark.parametrize("kind", list(FaultKind))
def test_every_kind_can_be_ordered(kind: FaultKind):
    """Each kind of fault can be ordered by its name alone."""
    fault = parse(kind.value, "sim").fault
    assert fault is not None
    assert fault.kind is kind


def test_orders_for_others_are_ignored():
    """One header can address several providers; each obeys its own part, the first that counts."""
    orders = "stall:1@other, http_429:2@sim, hang"
    assert parse(orders, "sim").fault == parse("http_429:2", "sim").fault
    assert parse(orders, "third").fault == parse("hang", "third").fault
    assert parse("hang@other", "sim").fault is None


def test_speed_and_length_can_be_ordered():
    """Length, first token and speed of one answer can be set together with a fault."""
    wishes = parse("tokens:500, first:2s, speed:1000, reasoning:7", "sim")
    assert (wishes.tokens, wishes.first_token, wishes.speed, wishes.reasoning) == (500, 2.0, 1000.0, 7)


@pytest.mark.parametrize("text", ["explode", "stall:many", "tokens", "first:soon", "http:200", "slow:-1s", "stall:-1"])
def test_what_cannot_be_read_is_named(text: str):
    """A mistyped order is refused by name."""
    with pytest.raises(ValueError, match=f"cannot read '{text}'"):
        parse(text, "sim")
