"""Streams whose events name their type: how Responses and Messages answers are read on their way through (R1, R11-R13).

After the commit point what holds nothing but pieces of content passes by the block: by its bytes where they are those
of the pieces before, else by one regular expression and one decode call. Everything else is read event by event. Bytes are
forwarded as they came.
"""

import re
from collections.abc import Sequence

import msgspec

from twospeed.dialects import sse
from twospeed.dialects.mould import Mould
from twospeed.dialects.openai_answer import UNREADABLE
from twospeed.errors import Fault, Kind
from twospeed.types import Usage

# One event in its usual form: a type, which may be left out, and one line of data. It begins where a line begins.
_USUAL = re.compile(rb"^(?:event:[^\n]*\n)?data:([^\n]*)\n\n", re.MULTILINE)


class Typed(msgspec.Struct, gc=False):
    """What every event has. `sequence_number`: Responses only."""

    type: str
    sequence_number: int | None = None


_decode_typed: msgspec.json.Decoder[Typed] = msgspec.json.Decoder(Typed)


class EventReader:
    """Reads one streamed answer; see `dialects.Reader`. A subclass knows the events of its API.

    `quiet`: types of events that say nothing but a piece of content. `told`: the provider itself has told the client
    that it failed.
    """

    quiet: frozenset[str] = frozenset()

    __slots__ = (
        "_blocks",
        "_good",
        "_mould",
        "committed",
        "ended",
        "finish",
        "output_bytes",
        "output_events",
        "told",
        "usage",
    )

    def __init__(self) -> None:
        self._blocks = sse.Blocks()
        self._good = b""
        self._mould = Mould()
        self.committed = False
        self.ended = False
        self.told = False
        self.usage: Usage | None = None
        self.finish = ""
        self.output_events = 0
        self.output_bytes = 0

    @property
    def sequence(self) -> int:
        """Number of the last event, -1 before the first."""
        return self._mould.number

    @property
    def good(self) -> bytes:
        """Whole events of the feed that raised, before what was wrong."""
        return self._good

    def feed(self, data: bytes) -> bytes:
        """Take bytes, return whole events. Raises: Fault ERROR_EVENT, BAD_ANSWER, ANSWER_TOO_LARGE."""
        if self.ended:
            return b""  # R12: nothing follows the end
        block = self._blocks.feed(data)
        return self._read(block) if block else block

    def end(self) -> bytes:
        """Return what is still owed to the client at the end of the body. Raises: Fault TRUNCATED."""
        rest = b"" if self.ended else self._read(self._blocks.close())
        if self.ended:
            return rest
        try:
            rest += self.completion()
        except Fault:
            self._good = rest
            raise
        self.ended = True
        return rest

    def completion(self) -> bytes:
        """Return the events that end an answer whose provider forgot to. Raises: Fault TRUNCATED."""
        raise Fault(Kind.TRUNCATED, "The provider's answer ended before it was complete.")

    def note(self, kind: str, text: bytes) -> None:
        """Take the facts of one event that is not quiet. Raises: Fault ERROR_EVENT, BAD_ANSWER."""
        raise NotImplementedError

    def interrupt(self, fault: Fault, request_id: str = "") -> bytes:
        """Say the fault as the event that ends this stream."""
        raise NotImplementedError

    def _read(self, block: bytes) -> bytes:
        if not self.committed or len(block) > sse.LIMIT:
            return self._one_by_one(block, 0)
        count, end = self._mould.pieces(block, self._usual)
        self.output_events += count
        self.output_bytes += end
        return block if end == len(block) else self._one_by_one(block, end)

    def _usual(self, block: bytes) -> int:
        """Return how many events a block of nothing but pieces of content holds, 0 for any other block."""
        data = _USUAL.findall(block)
        types = block.count(b"\nevent:") + block.startswith(b"event:")
        # Every line is one of theirs: two for the data, one for each type.
        if block.count(b"\n") != 2 * len(data) + types or b"\r" in block:
            return 0
        try:
            typed: Sequence[Typed] = _decode_typed.decode_lines(b"\n".join(data))
        except UNREADABLE:
            return 0
        if len(typed) != len(data) or not self.quiet.issuperset([event.type for event in typed]):
            return 0
        if typed and typed[-1].sequence_number is not None:
            self._mould.number = typed[-1].sequence_number
        return len(data)

    def _one_by_one(self, block: bytes, start: int) -> bytes:
        """Read what follows `start` exactly, up to the first content; what follows that is more of it."""
        kept, opening = [block[:start]], not self.committed
        try:
            for event in sse.events(block[start:], first=self.output_bytes == 0):
                before = self.told
                try:
                    self._event(event)
                finally:
                    if self.told > before:
                        kept.append(event.raw)
                start += len(event.raw)
                self.output_bytes += len(event.raw)
                kept.append(event.raw)
                if self.ended:
                    break
                if opening and self.committed:
                    kept.append(self._read(block[start:]))
                    break
        except Fault:
            self._good = b"".join(kept) + self._good
            raise
        return b"".join(kept)

    def _event(self, event: sse.Event) -> None:
        text = event.data.strip() if event.data else b""
        if not text or text == b"[DONE]":
            return
        try:
            typed = _decode_typed.decode(text)
        except UNREADABLE:
            raise foreign("no event of this API") from None
        if typed.sequence_number is not None:
            self._mould.number = typed.sequence_number
        if typed.type in self.quiet:
            self.committed = True
            self.output_events += 1
        else:
            self.note(typed.type, text)


def foreign(why: str) -> Fault:
    """Return the fault of an event that cannot be what it should be."""
    return Fault(Kind.BAD_ANSWER, "The provider's answer could not be read.", detail=f"stream event: {why}")
