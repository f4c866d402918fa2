"""Request bodies on the wire: bytes in as they come, one whole body out; no socket, no clock, no waiting.

A body of announced length is cut off by count. Chunks are taken apart here and not by llhttp, which bounds neither
chunk extensions nor trailers nor the number of chunks. Chunk extensions and trailers are checked and dropped.

Source: RFC 9112 section 7.
"""

import re
from collections.abc import Callable

from twospeed.edge.wire import malformed
from twospeed.errors import Fault, Kind

_SMALL = 4_096  # pieces below this are merged, so that tiny ones do not cost an object each
_LINE_LIMIT = 1_024  # bytes of a chunk-size or trailer line
_TRAILER_LIMIT = 100  # trailer lines
_FRAMING_LIMIT = 1 << 20  # bytes of chunk framing allowed beyond the bytes of body
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;[\t\x20-\x7e\x80-\xff]*)?")
_TRAILER_LINE = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*")


class Pieces:
    """Body bytes in the order they came."""

    __slots__ = ("_pieces", "size")

    def __init__(self) -> None:
        self._pieces: list[bytes | bytearray | memoryview] = []
        self.size = 0

    def add(self, piece: bytes | memoryview) -> None:
        """Append `piece`; a view keeps what it shows."""
        self.size += len(piece)
        pieces = self._pieces
        if len(piece) >= _SMALL:
            pieces.append(piece)
        elif pieces and isinstance(last := pieces[-1], bytearray):
            last += piece
        else:
            pieces.append(bytearray(piece))

    def joined(self) -> bytes:
        """Return all of it."""
        return b"".join(self._pieces)


class SizedBody:
    """A body of `length` bytes. `rest`: what came after its end."""

    __slots__ = ("_length", "_pieces", "rest")

    def __init__(self, length: int) -> None:
        self._length = length
        self._pieces = Pieces()
        self.rest = b""

    def feed(self, data: bytes | memoryview) -> bool:
        """Take bytes as they came; True once the body is whole."""
        missing = self._length - self._pieces.size
        if len(data) > missing:
            data, self.rest = data[:missing], bytes(data[missing:])
        self._pieces.add(data)
        return self._pieces.size == self._length

    def whole(self) -> bytes:
        """Return the body."""
        return self._pieces.joined()


class ChunkedBody:
    """A body in chunks, of at most `limit` bytes. `rest`: what came after its end."""

    __slots__ = ("_announced", "_done", "_framing", "_left", "_limit", "_pieces", "_step", "_trailers", "rest")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._pieces = Pieces()
        self._announced = 0  # bytes of body in all chunk sizes so far
        self._left = 0  # bytes missing of the chunk under way
        self._framing = 0
        self._trailers = 0
        self._done = False
        self._step: Callable[[ChunkedBody, bytes, int], int] = ChunkedBody._size
        self.rest = b""

    def feed(self, data: bytes | memoryview) -> bool:
        """Take bytes as they came; True once the body is whole.

        Raises: Fault BAD_REQUEST, BODY_TOO_LARGE (as soon as a chunk size goes beyond `limit`).
        """
        data = self.rest + data
        at = step = 0
        while not self._done and step >= 0:
            at += step
            step = self._step(self, data, at)
        self.rest = data[at + max(step, 0) :]
        return self._done

    def whole(self) -> bytes:
        """Return the body."""
        return self._pieces.joined()

    # Each step reads one element at `at` and returns how many bytes it took, -1 when it needs more of them.

    def _size(self, data: bytes, at: int) -> int:
        line = self._line(data, at)
        if line is None:
            return -1
        match = _SIZE_LINE.fullmatch(line)
        if match is None:
            raise malformed("chunk size")
        self._left = int(match[1], 16)
        self._announced += self._left
        if self._announced > self._limit:
            raise Fault(Kind.BODY_TOO_LARGE, f"The request body is larger than {self._limit} bytes.")
        self._step = ChunkedBody._data if self._left else ChunkedBody._trailer
        return len(line) + 2

    def _data(self, data: bytes, at: int) -> int:
        piece = data[at : at + self._left]
        if not piece:
            return -1
        self._pieces.add(piece)
        self._left -= len(piece)
        if not self._left:
            self._step = ChunkedBody._data_end
        return len(piece)

    def _data_end(self, data: bytes, at: int) -> int:
        end = data[at : at + 2]
        if end == b"\r\n":
            self._step = ChunkedBody._size
            return 2
        if end not in (b"", b"\r"):
            raise malformed("chunk longer than its size")
        return -1

    def _trailer(self, data: bytes, at: int) -> int:
        line = self._line(data, at)
        if line is None:
            return -1
        self._trailers += 1
        if not line:
            self._done = True
        elif self._trailers > _TRAILER_LIMIT or not _TRAILER_LINE.fullmatch(line):
            raise malformed("trailer")
        return len(line) + 2

    def _line(self, data: bytes, at: int) -> bytes | None:
        end = data.find(b"\r\n", at, at + _LINE_LIMIT)
        if end < 0:
            if len(data) - at >= _LINE_LIMIT or data.find(b"\n", at) >= 0:
                raise malformed("chunk framing line")
            return None
        self._framing += end + 4 - at
        if self._framing > _FRAMING_LIMIT + self._announced:
            raise malformed("chunks too small")
        return data[at:end]
