"""Scribe: writes down what the client got of an answer, as long as that answer may still be continued by another backend."""

from collections.abc import Callable

from twospeed.dialects import sse
from twospeed.dialects.openai_answer import UNREADABLE

MOST = 262_144  # characters of an answer that are kept; a longer one is not continued

WRONG_SHAPE = (*UNREADABLE, AttributeError, KeyError, TypeError, IndexError)


class Scribe:
    """Listens to whole events on their way to the client. A subclass knows the events of its dialect.

    `resumable`: nothing but plain text has been said, and not to its end.
    """

    def __init__(self) -> None:
        self.resumable = True
        self._said: list[str] = []
        self._size = 0

    @property
    def text(self) -> str:
        """All text so far."""
        return "".join(self._said)

    def hear(self, block: bytes) -> None:
        """Take whole events."""
        if not (self.resumable and block):
            return
        try:
            for event in sse.events(block):
                if event.data:
                    self.note(event.data.strip())
        except WRONG_SHAPE:
            self.spoil()

    def note(self, data: bytes) -> None:
        """Take the data of one event."""
        raise NotImplementedError

    def owed(self, block: bytes) -> bytes:
        """Return what of the events before a break is still for the client."""
        return block

    def say(self, text: str) -> None:
        """Note a piece of text."""
        self._said.append(text)
        self._size += len(text)
        if self._size > MOST:
            self.spoil()

    def spoil(self) -> None:
        """This answer is not continued; nothing of it is kept."""
        self.resumable = False
        self._said = []


def kept(block: bytes, keep: Callable[[sse.Event], bool]) -> bytes:
    """Return the events of a block for which `keep` says so."""
    return b"".join(event.raw for event in sse.events(block) if keep(event))
