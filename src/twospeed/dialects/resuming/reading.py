"""Readers of streams that may be resumed: what goes to the client is written down, and what continues it is spliced on."""

from typing import Protocol

from twospeed.dialects import Reader
from twospeed.dialects.resuming.scribe import Scribe
from twospeed.errors import Fault
from twospeed.types import Usage


class Splice(Protocol):
    """Makes one answer of two."""

    def feed(self, block: bytes) -> bytes:
        """Take whole events of the next backend, return what goes to the client."""

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

    def interrupt(self, fault: Fault) -> bytes:
        """Say the fault as the event that ends this stream."""
        return self._reader.interrupt(fault)

    def _passed(self, block: bytes) -> bytes:
        self._scribe.hear(block)
        return block

    def _left(self) -> bytes:
        return self._passed(self._reader.good)


class Spliced(Heard):
    """A reader of the answer that continues another one."""

    __slots__ = ("_splice",)

    def __init__(self, reader: Reader, scribe: Scribe, splice: Splice) -> None:
        super().__init__(reader, scribe)
        self._splice = splice

    def join(self, held: bytes) -> bytes:
        """Take what was read up to the commit point, return what goes to the client."""
        return self._passed(held)

    def _passed(self, block: bytes) -> bytes:
        return super()._passed(self._splice.feed(block)) if block else block

    def _left(self) -> bytes:
        said = self._splice.feed(self._reader.good) + self._splice.flush()
        self._scribe.hear(said)
        return said
