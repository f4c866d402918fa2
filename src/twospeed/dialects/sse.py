"""Server-sent events: bytes to whole events and back, whatever the cuts and line endings (R13).

Three steps, so that the usual stream pays only for the first two: `Blocks` cuts incoming bytes at the end of the
last whole event; `plain` turns a block of one-line data events into JSON lines; `events` reads any block exactly.
Bytes are never rewritten: what comes out of `Blocks`, joined, is a prefix of what went in.

Source: WHATWG HTML, section "Server-sent events" (interpretation of an event stream). A line ends with CR LF, LF or
CR; an event ends with an empty line.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from twospeed.errors import Fault, Kind

LIMIT = 16 << 20  # bytes of one event (R13)
BOM = b"\xef\xbb\xbf"
DONE = b"data: [DONE]\n\n"

# Two line ends in a row, and the empty lines after them. CR LF is one line end, so CR LF alone must not match.
_END = re.compile(rb"(?:\n\n|[\n\r]\r\n?)[\r\n]*")


class Event(NamedTuple):
    """One event and the bytes it was read from.

    `data` is None where the bytes hold no data line (comments, a lone id): a client is told nothing by them.
    `id` and `retry` (milliseconds) are None where the event does not set them.
    """

    raw: bytes
    name: bytes
    data: bytes | None
    id: bytes | None = None
    retry: int | None = None


def boundary(data: bytes) -> int:
    r"""Return the end of the last whole event in `data`, 0 when there is none.

    A CR at the very end after an LF may be the first half of CR LF: it ends nothing yet.

    >>> boundary(b"data: 1\n\ndata: 2\n"), boundary(b"data: 1\r\n\r"), boundary(b"data: 1\r\n\r\n")
    (9, 0, 11)
    """
    last = data.rfind(b"\n\n")
    if b"\r" not in data:
        return last + 2 if last >= 0 else 0
    last = max(last, data.rfind(b"\r\r"), data.rfind(b"\n\r", 0, len(data) - 1))
    if last < 0:
        return 0
    return last + 3 if data[last + 1 : last + 3] == b"\r\n" else last + 2


class Blocks:
    """Cuts a stream of bytes into blocks of whole events and holds back the rest."""

    __slots__ = ("_edge", "_held", "_size")

    def __init__(self) -> None:
        self._held: list[bytes] = []
        self._size = 0
        self._edge = b""  # the last two bytes held: an end of event may straddle two reads

    def feed(self, data: bytes) -> bytes:
        """Return all bytes up to the end of the last whole event, b"" when none has ended.

        Raises: Fault ANSWER_TOO_LARGE when an event has not ended within LIMIT.
        """
        if not self._held:
            if data.endswith(b"\n\n"):
                return data
            cut = boundary(data)
            return self._cut(data, cut) if cut else self._hold(data)
        cut = boundary(self._edge + data)
        return self._cut(data, cut - len(self._edge)) if cut else self._hold(data)

    def close(self) -> bytes:
        """Return the events that only the end of the stream shows to be whole: CR was not half of CR LF."""
        return b"".join(self._held) if self._edge == b"\n\r" else b""

    def _cut(self, data: bytes, cut: int) -> bytes:
        self._held.append(data[:cut])
        block = b"".join(self._held)
        self._held.clear()
        self._size = 0
        self._edge = b""
        if cut < len(data):
            self._hold(data[cut:])
        return block

    def _hold(self, data: bytes) -> bytes:
        self._held.append(data)
        self._edge = (self._edge + data[-2:])[-2:]
        self._size += len(data)
        if self._size > LIMIT:
            raise too_large()
        return b""


def plain(block: bytes) -> tuple[bytes, int] | None:
    r"""Turn a block of nothing but one-line `data:` events into JSON lines in one pass, or return None.

    Anything unusual that gets past leaves a line that is not one JSON text: readers compare the number of events with
    what they decoded and go to `events` when in doubt.

    Returns: The lines, and how many events they come from.

    >>> plain(b'data: {"a": 1}\n\ndata: {}\n\n')
    (b' {"a": 1}\n {}\n\n', 2)
    """
    if b"\r" in block:
        block = block.replace(b"\r\n", b"\n")
        if b"\r" in block:
            return None
    if not block.startswith(b"data:") or not block.endswith(b"\n\n"):
        return None
    lines = block.replace(b"\n\ndata:", b"\n")
    total = (len(block) - len(lines)) // 6 + 1
    # One line an event and nothing between: no comments, names or broken lines. Looking for one is faster than counting.
    if lines.find(b"\n") != len(lines) - 2 if total == 1 else lines.count(b"\n") != total + 1:
        return None
    return lines[5:], total


def first(block: bytes, start: int) -> int:
    r"""Return the end of the first event after `start` in a block of whole events.

    >>> first(b"data: 1\r\n\r\ndata: 2\n\n", 0)
    11
    """
    found = _END.search(block, start)
    return found.end() if found else len(block)


def events(block: bytes, first: bool = False) -> Iterator[Event]:
    r"""Read the whole events of a block exactly; `first` says that the stream begins here (a BOM is then skipped).

    >>> [(e.name, e.data) for e in events(b": hi\r\n\r\nevent: x\rdata: 1\rdata:2\r\r")]
    [(b'', None), (b'x', b'1\n2')]
    """
    start = 0
    for end in _END.finditer(block):
        raw = block[start : end.end()]
        if len(raw) > LIMIT:
            raise too_large()
        yield _read(raw, raw.removeprefix(BOM) if first and start == 0 else raw)
        start = end.end()


def _read(raw: bytes, text: bytes) -> Event:
    if text.startswith(b"data: ") and text.find(b"\n") == len(text) - 2 and b"\r" not in text:
        return Event(raw, b"", text[6:-2])  # what most of them look like
    name, data = b"", []
    event_id = retry = None
    for line in text.splitlines():  # on bytes: CR LF, LF and CR only
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value
        elif field == b"id" and b"\0" not in value:
            event_id = value
        elif field == b"retry" and value.isdigit():
            retry = int(value[:18])  # beyond any wait; int() refuses thousands of digits
    return Event(raw, name, b"\n".join(data) if data else None, event_id, retry)


def event(data: bytes, name: bytes = b"") -> bytes:
    r"""Write one event.

    >>> event(b'{"a": 1}'), event(b"1\n2", b"x")
    (b'data: {"a": 1}\n\n', b'event: x\ndata: 1\ndata: 2\n\n')
    """
    head = b"event: " + name + b"\n" if name else b""
    return head + b"data: " + data.replace(b"\n", b"\ndata: ") + b"\n\n"


def too_large() -> Fault:
    """Return the fault of an event beyond LIMIT."""
    return Fault(Kind.ANSWER_TOO_LARGE, "The provider's answer holds an event that is too large.", detail="sse event")
