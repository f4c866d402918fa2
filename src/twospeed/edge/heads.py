"""The heads of one connection: a client repeats itself, so a head is known again by its bytes instead of being read anew.

Reading a head is a pure function of its bytes, and of the digits of its Content-Length nothing depends but `length`. What is
remembered is one head, as it was accepted, cut in two around these digits; a head that is both halves with other digits
between them is the same but for its length. Bytes are compared, nothing is guessed, and what is refused is never remembered.

It belongs to the connection and goes with it, because it holds the client's key; a connection at rest forgets it, because
those are many.
"""

from msgspec.structs import replace

from twospeed.edge.wire import MOST_DIGITS, Head, HeadReader

_MOST = 2_048  # bytes of a head that is remembered
_LENGTH = b"\r\ncontent-length:"


class Heads:
    """Finds and reads the heads of one connection. `known`: the one that is remembered."""

    __slots__ = ("_after", "_before", "_reader", "_strange", "known")

    def __init__(self, reader: HeadReader) -> None:
        self._reader = reader
        self.known: Head | None = None
        self._before = self._after = b""
        self._strange = 0  # heads in a row that were not known

    def first(self, data: bytes) -> tuple[Head | None, int]:
        """Return the first head in `data` and the offset just after it; None and 0 while it has not all come.

        The head is the caller's own but for `headers`, which those that repeat it share.

        Raises: Fault as `HeadReader.end` and `HeadReader.read`.
        """
        known = self.known
        if known is not None and data.startswith(self._before):
            start, after = len(self._before), self._after
            stop = data.find(b"\r", start, start + MOST_DIGITS + 1)  # -1 is too near the end for what comes after
            if data.startswith(after, stop) and (digits := data[start:stop]).isdigit():
                self._strange = 0
                return replace(known, length=int(digits)), stop + len(after)
        return self._read(data)

    def forget(self) -> None:
        """Remember nothing."""
        self.known = None
        self._before = self._after = b""
        self._strange = 0

    def _read(self, data: bytes) -> tuple[Head | None, int]:
        end = self._reader.end(data)
        if not end:
            return None, 0
        raw = data[:end]
        head = self._reader.read(raw)
        self._strange += 1
        # Not before the second: many clients ask once, and those that take turns with two heads have one known.
        if self._strange > 1 and head.length and end <= min(_MOST, self._reader.head_limit - MOST_DIGITS):
            self._remember(raw, head)
        return head, end

    def _remember(self, raw: bytes, head: Head) -> None:
        stop = raw.find(b"\r\n", raw.lower().find(_LENGTH) + len(_LENGTH))
        self._before, self._after = raw[:stop].rstrip(b"0123456789"), raw[stop:]
        head.headers.found = {}
        self.known = replace(head)  # the app writes into its own
        self._strange = 0
