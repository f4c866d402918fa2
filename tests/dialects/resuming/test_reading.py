"""Readers of streams that may be resumed."""

import json

import pytest
from tests.fakes import DONE, STOP, TEXT

from twospeed.dialects import sse
from twospeed.dialects.openai_stream import StreamReader
from twospeed.dialects.resuming.choices import ChoicesScribe, ChoicesSplice
from twospeed.dialects.resuming.reading import Heard, Spliced
from twospeed.errors import Fault, Kind
from twospeed.types import Usage

BROKEN = b"data: {oops\n\n"


def test_what_passes_is_heard_and_unchanged():
    """The client gets the provider's bytes; the scribe knows them."""
    scribe = ChoicesScribe()
    reader = Heard(StreamReader(False), scribe)
    assert reader.feed(TEXT) == TEXT
    assert scribe.text == "hi"
    assert (reader.committed, reader.ended, reader.output_events) == (True, False, 1)
    assert reader.feed(STOP + DONE) == STOP + DONE
    assert (reader.ended, reader.finish, reader.usage) == (True, "stop", None)


def test_what_came_before_a_break_is_heard_as_well():
    """Events of the very read that broke are still owed to the client, and go on being its text."""
    scribe = ChoicesScribe()
    reader = Heard(StreamReader(False), scribe)
    with pytest.raises(Fault):
        reader.feed(TEXT + BROKEN)
    assert reader.good == TEXT
    assert scribe.text == "hi"
    assert b"error" in reader.interrupt(Fault(Kind.TRUNCATED))


def test_a_cut_stream_leaves_what_it_had():
    """An answer that just stops is a failure here too."""
    reader = Heard(StreamReader(False), ChoicesScribe())
    reader.feed(TEXT)
    with pytest.raises(Fault) as caught:
        reader.end()
    assert caught.value.kind is Kind.TRUNCATED


def test_what_goes_on_is_spliced_and_heard():
    """The text of the second one follows that of the first, also what was held back when it broke."""
    scribe = ChoicesScribe()
    Heard(StreamReader(False), scribe).feed(TEXT)
    reader = Spliced(StreamReader(False), scribe, ChoicesSplice(scribe, scribe.text, Usage()))
    held = StreamReader(False).feed(TEXT)
    assert json.loads(next(sse.events(reader.join(held))).data)["choices"][0]["delta"] == {"content": "hi"}
    assert scribe.text == "hihi"
    with pytest.raises(Fault):
        reader.feed(TEXT + BROKEN)
    assert scribe.text == "hihihi"
    assert reader.good.count(b"hi") == 1


@pytest.mark.parametrize(
    "odd", [b'{"choices":[{"delta":"x"}]}', b'{"choices":[],"usage":5}', b'{"choices":[{"delta":[1]}]}']
)
def test_what_cannot_be_joined_is_a_break(odd: bytes):
    """An event of a shape that cannot be put behind the first answer breaks the stream; the client gets all before it."""
    scribe = ChoicesScribe()
    Heard(StreamReader(False), scribe).feed(TEXT)
    inner = StreamReader(True)
    reader = Spliced(inner, scribe, ChoicesSplice(scribe, scribe.text, Usage()))
    reader.join(inner.feed(TEXT))
    with pytest.raises(Fault) as caught:
        reader.feed(TEXT + sse.event(odd) + TEXT)
    assert caught.value.kind is Kind.BAD_ANSWER
    assert reader.good.count(b"hi") == 1
    assert scribe.text == "hihihi"
    assert scribe.resumable
