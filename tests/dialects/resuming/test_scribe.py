"""What the client got, as long as it may go on."""

import pytest

from twospeed.dialects import sse
from twospeed.dialects.resuming.scribe import MOST, Scribe, kept


class Echo(Scribe):
    """Every event is text."""

    def note(self, data: bytes) -> None:
        self.say(data.decode())


def test_events_become_text():
    """Comments and empty lines say nothing."""
    scribe = Echo()
    scribe.hear(b": ping\n\ndata: one\n\ndata: two\n\n")
    scribe.hear(b"")
    assert scribe.text == "onetwo"


def test_the_bound_is_kept():
    """One character too many, and all is forgotten."""
    scribe = Echo()
    scribe.say("x" * MOST)
    assert scribe.resumable
    scribe.say("x")
    assert (scribe.resumable, scribe.text) == (False, "")
    scribe.hear(b"data: more\n\n")
    assert scribe.text == ""


def test_a_dialect_says_what_its_events_mean():
    """The scribe itself knows none."""
    with pytest.raises(NotImplementedError):
        Scribe().note(b"{}")


def test_events_are_kept_whole():
    """What is left out is left out to its last byte."""
    assert kept(b"event: a\ndata: 1\n\nevent: b\ndata: 2\n\n", lambda event: event.name == b"b") == sse.event(
        b"2", b"b"
    )
