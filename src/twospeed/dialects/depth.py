"""How deep JSON nests: R29 allows 128 levels, and finding out must not cost a second look at long bodies.

The text has been checked by the JSON decoder before; here only brackets outside strings are counted. A scalar has
depth 0, `[]` has 1. Most values prove themselves shallow: a string nests nothing, a value of n bytes at most n // 2
levels. What remains is opened a few levels, which is enough for what clients really send, and only then counted.
"""

from collections.abc import Iterable

import msgspec
import numpy as np
from numpy.typing import NDArray

from twospeed.dialects.again import Again

LIMIT = 128  # levels of a whole body (R29)

_QUOTE, _BACKSLASH = 0x22, 0x5C
_OPEN, _CLOSE = 0x7B, 0x7D  # braces; brackets become braces when bit 5 is set
_FLAT = 1 << 12  # bytes up to which counting all brackets is the cheapest way
_PIECE = 1 << 16  # bytes counted at once, so that memory stays flat
_OPENED = 4  # levels opened by the decoder, five times faster than counting, before what remains is counted

_decode_items = msgspec.json.Decoder(list[dict[str, msgspec.Raw]]).decode
_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_dict = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def openings(text: bytes) -> int:
    """Return how many brackets are opened, in strings or outside of them: no text nests deeper than that."""
    return text.count(b"{") + text.count(b"[")


def flat(body: bytes) -> bool:
    """Say whether a short body is seen to be within LIMIT at once; False tells nothing."""
    return len(body) <= _FLAT and openings(body) <= LIMIT


def shallow(values: Iterable[msgspec.Raw], room: int) -> bool:
    """Say whether none of these values nests deeper than `room` levels.

    >>> shallow([msgspec.Raw(b"[[1]]")], 2), shallow([msgspec.Raw(b"[[[1]]]")], 2)
    (True, False)
    """
    left = [value for value in values if len(value) > 2 * room and memoryview(value)[0] != _QUOTE]
    try:
        return not left or _shallow(left, room)
    except RecursionError:  # the decoder's own limit is far beyond ours
        return False


def _member(value: msgspec.Raw) -> bool:
    return shallow((value,), LIMIT - 1)


shallow_again = Again(_member)  # the same of one member of a body, of which the like comes again, such as the tools


def deeper(text: bytes, room: int) -> bool:
    r"""Say whether valid JSON text, or several texts joined, nests deeper than `room` levels, by reading all of it.

    >>> deeper(b'{"a": ["]]", "[[[\\"["]}', 2), deeper(b'{"a": [{}]}', 2)
    (False, True)
    """
    depth, quoted, escaped = 0, False, False
    for at in range(0, len(text), _PIECE):
        piece = np.frombuffer(text, np.uint8, min(_PIECE, len(text) - at), at)
        quotes, escaped = _quotes(piece, escaped)
        levels = depth + np.cumsum(_steps(piece, quotes, quoted))
        if levels.size:
            if levels.max() > room:
                return True
            depth = int(levels[-1])
        quoted ^= quotes.size % 2 == 1
    return False


def _shallow(left: list[msgspec.Raw], room: int) -> bool:
    if room >= 2:
        try:  # parts, tool calls and tools are lists of objects: two levels in one go
            items = [item for value in left for item in _decode_items(value)]
            room -= 2
            left = [inner for item in items for inner in item.values() if len(inner) > 2 * room]
        except msgspec.ValidationError:
            pass  # something else: one level at a time
    for _ in range(min(_OPENED, room)):
        if not left:
            return True
        room -= 1
        left = [inner for value in left for inner in _inside(value) if len(inner) > 2 * room]
    return not left or not deeper(b"".join(map(bytes, left)), room)


def _inside(value: msgspec.Raw) -> Iterable[msgspec.Raw]:
    first = memoryview(value)[0]
    if first == _QUOTE:
        return ()
    if first == 0x5B:
        return _decode_list(value)
    return _decode_dict(value).values() if first == _OPEN else ()


def _quotes(piece: NDArray[np.uint8], escaped: bool) -> tuple[NDArray[np.intp], bool]:
    """Return where strings begin and end, and whether the byte after the piece is escaped."""
    marks = piece == _QUOTE
    slashes = np.flatnonzero(piece == _BACKSLASH)
    if escaped:
        marks[0] = False
        slashes = slashes[slashes > 0]  # an escaped backslash escapes nothing
    if not slashes.size:
        return np.flatnonzero(marks), False
    breaks = np.flatnonzero(np.diff(slashes) != 1)
    starts = slashes[np.concatenate(([0], breaks + 1))]
    ends = slashes[np.concatenate((breaks, [slashes.size - 1]))]
    targets = ends[(ends - starts) % 2 == 0] + 1  # an odd run of backslashes escapes what follows
    escaped = bool(targets.size) and bool(targets[-1] == piece.size)
    marks[targets[targets < piece.size]] = False
    return np.flatnonzero(marks), escaped


def _steps(piece: NDArray[np.uint8], quotes: NDArray[np.intp], quoted: bool) -> NDArray[np.intp]:
    """Return +1 and -1 for each bracket outside strings, in order."""
    folded = piece | 0x20
    at = np.flatnonzero((folded == _OPEN) | (folded == _CLOSE))
    outside = at[(np.searchsorted(quotes, at) + quoted) % 2 == 0]
    return np.where(folded[outside] == _OPEN, 1, -1)
