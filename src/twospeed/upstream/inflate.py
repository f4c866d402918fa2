"""Response bodies that come compressed although we asked for plain ones: inflated bit by bit, with caps (R28).

At most SLICE bytes come out at a time, so a bomb costs its reader nothing but the reads it makes; a body that grows
beyond RATIO or in all beyond OUTPUT_LIMIT ends in a fault. Source: RFC 9110 section 8.4, RFC 1950 to 1952.
"""

import zlib

from twospeed.errors import Fault, Kind

SLICE = 262_144  # bytes of output at a time
RATIO = 100  # output to input; event streams of short deltas measure about 20
FREE_OUTPUT = 1_048_576  # bytes before the ratio counts
OUTPUT_LIMIT = 256 * 1_048_576  # bytes

_GZIP = 31  # zlib's window bits: 16 says gzip
_ZLIB = 15
_RAW = -15


def inflater(coding: bytes) -> "Inflater | None":
    """Return what undoes a Content-Encoding (b"" when absent), None for a body that is plain.

    Raises:
        Fault: PROTOCOL_ERROR, for a coding nobody asked for.

    >>> inflater(b"identity") is None
    True
    """
    coding = coding.strip().lower()
    if coding in (b"", b"identity"):
        return None
    if coding in (b"gzip", b"x-gzip", b"deflate"):
        return Inflater(many=coding != b"deflate")
    raise Fault(Kind.PROTOCOL_ERROR, detail="invalid answer: content encoding other than gzip or deflate")


class Inflater:
    """Inflates one body. `written`: bytes that came out so far.

    Args:
        many: gzip, which may consist of several members; else deflate, with or without the zlib wrapping that the
            RFC asks for and many servers leave out.
    """

    __slots__ = ("_full", "_input", "_many", "_read", "_stream", "written")

    def __init__(self, many: bool) -> None:
        self._many = many
        self._stream: zlib._Decompress | None = None
        self._input = b""
        self._full = False  # the last slice was full, so zlib may hold back more
        self._read = 0
        self.written = 0

    def push(self, data: bytes) -> None:
        """Add compressed bytes; all earlier ones must have been pulled out."""
        self._input += data
        self._read += len(data)

    def pull(self) -> bytes:
        """Return the next 1 to SLICE bytes, b"" when more input is needed. Raises: Fault."""
        data = b""
        while not data and (self._input or self._full):
            data = self._step()
        self.written += len(data)
        if self.written > OUTPUT_LIMIT:
            raise Fault(Kind.ANSWER_TOO_LARGE, detail=f"compressed answer of more than {OUTPUT_LIMIT} bytes")
        if self.written > FREE_OUTPUT + RATIO * self._read:
            raise Fault(Kind.PROTOCOL_ERROR, detail=f"invalid answer: compressed more than {RATIO} to 1")
        return data

    def finish(self) -> None:
        """Say that no more input comes. Raises: Fault TRUNCATED when the compressed data is not at its end."""
        if self._stream is not None and not self._stream.eof:
            raise Fault(Kind.TRUNCATED, detail="the compressed answer ends before its end")

    def _step(self) -> bytes:
        if self._stream is None or self._stream.eof:
            self._stream = self._next_stream(first=self._stream is None)
        stream = self._stream
        try:
            data = stream.decompress(self._input, SLICE)
        except zlib.error:
            raise Fault(Kind.PROTOCOL_ERROR, detail="invalid answer: broken compression") from None
        self._input = stream.unused_data if stream.eof else stream.unconsumed_tail
        self._full = len(data) == SLICE and not stream.eof
        return data

    def _next_stream(self, first: bool) -> "zlib._Decompress":
        if self._many:
            return zlib.decompressobj(_GZIP)
        if first:
            wrapped = self._input[0] & 0x0F == 8  # zlib's method field; no raw deflate block starts like that
            return zlib.decompressobj(_ZLIB if wrapped else _RAW)
        raise Fault(Kind.PROTOCOL_ERROR, detail="invalid answer: bytes after the compressed data")
