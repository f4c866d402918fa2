"""The strongest signals behind a score."""

import msgspec

from twospeed.policy.learned import load
from twospeed.policy.reading import Reader
from twospeed.policy.signals import MOST, signals
from twospeed.types import Conversation, Message

LEARNED = load()
ASK = "Our scheduler deadlocks under load: find the race between the worker threads, prove it and redesign the locking."


def conversation(text: str) -> Conversation:
    return Conversation("/v1/chat/completions", [Message("user", msgspec.Raw(msgspec.json.encode(text)))])


def test_signals_are_few_and_ordered():
    """At most four, strongest first, each with a direction; the text itself is not among them."""
    found = signals(LEARNED, Reader(LEARNED), conversation(ASK))
    assert 0 < len(found) <= MOST
    strengths = [float(one.rpartition(" ")[2].removesuffix(")")) for one in found]
    assert strengths == sorted(strengths, reverse=True)
    assert not any("scheduler" in one for one in found)


def test_sizes_are_named():
    """An operator reads how long the instruction was."""
    found = " ".join(signals(LEARNED, Reader(LEARNED), conversation(ASK * 3)))
    assert "words" in found or "wording" in found
