"""Readers of streams that may be resumed: what goes to the client is written down, and what continues it is spliced on."""

from typing import Protocol

from twospeed.dialects import Reader, sse
from twospeed.dialects.resuming.scribe import WRONG_SHAPE, Scribe
from twospeed.errors import Fault, Kind
from twospeed.types import Usage


class Splice(Protocol):
    """Makes one answer of two."""

    def take(self, event: sse.Event) -> bytes:
        """Take one event of the next backend, return what goes to the client."""

    def flush(self) -> bytes:
        """Return text that was held back, because nothing more will come."""


class Heard:
    """A reader whose events a scribe hears; see `dialects.Reader`."""

    __slots__ = ("_good", "_reader", "_scribe")

    def __init__(self, reader: Reader, scribe: Scribe) -> None:
        self._reader = reader
        self._scribe = scribe
        self._good = b""

    @property
    def committed(self) -> bool:
        """Whether content has been read."""
        return self._reader.committed

    @property
    def ended(self) -> bool:
        """Whether it finished properly."""
        return self._reader.ended

    @property
    def usage(self) -> Usage | None:
        """As far as read."""
        return self._reader.usage

    @property
    def finish(self) -> str:
        """Why it ended."""
        return self._reader.finish

    @property
    def output_events(self) -> int:
        """Content events."""
        return self._reader.output_events

    @property
    def output_bytes(self) -> int:
        """Bytes of them."""
        return self._reader.output_bytes

    @property
    def good(self) -> bytes:
        """What is still owed to the client."""
        return self._good

    def broke(self) -> None:
        """It broke in the very read that held its first content: what came before the break is still owed."""
        self._good = self._left()

    def feed(self, data: bytes) -> bytes:
        """Take bytes, return what goes to the client."""
        try:
            return self._passed(self._reader.feed(data))
        except Fault:
            self._good = self._left()
            raise

    def end(self) -> bytes:
        """The body has ended."""
        try:
            return self._passed(self._reader.end())
        except Fault:
            self._good = self._left()
            raise

    def interrupt(self, fault: Fault, request_id: str = "") -> bytes:
        """Say the fault as the event that ends this stream."""
        return self._reader.interrupt(fault, request_id)

    def _passed(self, block: bytes) -> bytes:
        self._scribe.hear(block)
        return block

    def _left(self) -> bytes:
        return self._passed(self._reader.good)


class Spliced(Heard):
    """A reader of the answer that continues another one; an event that cannot be joined to it is a break of its own."""

    __slots__ = ("_said", "_splice")

    def __init__(self, reader: Reader, scribe: Scribe, splice: Splice) -> None:
        super().__init__(reader, scribe)
        self._splice = splice
        self._said = b""

    def join(self, held: bytes) -> bytes:
        """Take what was read up to the commit point, return what goes to the client. Raises: Fault BAD_ANSWER."""
        return self._passed(held)

    def _passed(self, block: bytes) -> bytes:
        if not block:
            return block
        said, joined = self._joined(block)
        if not joined:
            self._said = said
            raise Fault(
                Kind.BAD_ANSWER, "The provider's answer could not be read.", detail="stream event: cannot be joined"
            )
        return super()._passed(said)

    def _left(self) -> bytes:
        said = self._said + self._joined(self._reader.good)[0] + self._splice.flush()
        self._scribe.hear(said)
        return said

    def _joined(self, block: bytes) -> tuple[bytes, bool]:
        """Return what of whole events goes to the client, and whether that is all of them."""
        said: list[bytes] = []
        try:
            for event in sse.events(block):
                if event.data:
                    said.append(self._splice.take(event))
        except WRONG_SHAPE:
            return b"".join(said), False
        return b"".join(said), True
