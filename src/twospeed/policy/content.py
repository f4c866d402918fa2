"""Read message content as JSON text, a bounded amount of it: of a long string only what stands at its ends.

A content is a string or a list of parts. A body of 200 KB costs about as much to read as one of 30 KB.
"""

from collections.abc import Sequence
from struct import Struct

import msgspec

from twospeed.types import NULL, Conversation, Message

WHOLE_BYTES = 12_288  # contents up to this size are read whole
EDGE_BYTES = 6_144  # of longer ones, this much of the head and of the tail
AFTER_BYTES = 1_536  # and this much behind the block in which the head ends
SEARCHED_BYTES = 262_144  # of what is left out, this much before the tail is searched for fences
BLANK_BYTES = 4  # of JSON text at most where nothing is said: null, "", []
MAX_TEXTS = 6
MAX_FENCES = 400
SYSTEM = ("system", "developer")  # roles of system texts

_FENCE = b"\\n```"
_STRING = msgspec.json.Decoder(str)


class Part(msgspec.Struct, gc=False):
    """One part of a content list, as far as routing reads it; `text`, `content` and `input` stay JSON."""

    type: str = ""
    text: msgspec.Raw = NULL
    content: msgspec.Raw = NULL
    input: msgspec.Raw = NULL
    name: str | None = None
    is_error: bool | None = None


Parts = list[Part] | None
"""Of one message: its parts; None where its content is no list of parts."""

_PARTS = msgspec.json.Decoder(list[Part])
_LIST, _QUOTE = b'["'
_first_byte = Struct("B").unpack_from


def open_all(messages: Sequence[Message]) -> list[Parts]:
    """Return the parts of each message; None for those that are plain text."""
    contents = [message.content for message in messages]
    if (_LIST,) not in map(_first_byte, contents):  # all of them are
        return [None] * len(contents)
    return [parts_of(content) for content in contents]


def parts_of(content: msgspec.Raw) -> Parts:
    """Return the parts of a content list; None for a plain string, nothing, or a list of something else."""
    if not is_list(content):
        return None
    try:
        return _PARTS.decode(content)
    except msgspec.ValidationError:
        return None


def is_list(raw: msgspec.Raw) -> bool:
    """Say whether a JSON value is a list."""
    return len(raw) > 0 and _first_byte(raw)[0] == _LIST


def is_blank(content: msgspec.Raw) -> bool:
    """Say whether a content is null, "" or []."""
    return len(content) <= BLANK_BYTES


def texts_of(content: msgspec.Raw) -> list[str]:
    """Return the texts of a content, one for each text part, each as far as it is read."""
    return read_texts(pieces_of(content, parts_of(content)))


def pieces_of(content: msgspec.Raw, parts: Parts) -> tuple[bytes, ...]:
    """Return what is read of a content, still as JSON: of the string it is, or of its first and last text parts.

    The fewer texts, the more of each. What is left out changes nothing, so that pieces stand for all of the content.
    """
    if parts is None:
        return (excerpt(content),) if _first_byte(content)[0] == _QUOTE else ()
    texts = [p.text for p in parts if p.type in ("text", "input_text", "")]
    half = MAX_TEXTS // 2
    texts = texts if len(texts) <= MAX_TEXTS else [*texts[:half], *texts[-half:]]
    share = max(1, len(texts))
    return tuple([excerpt(raw, WHOLE_BYTES // share, EDGE_BYTES // share) for raw in texts])


def read_texts(pieces: Sequence[bytes]) -> list[str]:
    """Decode pieces of one content."""
    return [_decoded(piece) if piece[:1] == b'"' else "" for piece in pieces]


def system_of(conversation: Conversation) -> msgspec.Raw:
    """Return the content of the system text, null when there is none."""
    if not is_blank(conversation.system):
        return conversation.system
    for message in conversation.messages[:2]:
        if message.role in SYSTEM:
            return message.content
    return NULL


def string_of(raw: msgspec.Raw) -> str:
    """Decode a JSON string as far as it is read; "" for anything else."""
    return read_texts([excerpt(raw)])[0]


def excerpt(raw: msgspec.Raw, whole: int = WHOLE_BYTES, edge: int = EDGE_BYTES) -> bytes:
    """Return a JSON string, of a long one a shorter string that holds its ends only; anything else as it stands.

    Where the head ends inside a fenced block, what follows that block is kept too: the instruction often stands
    between a file and its tests. Fences are balanced, so that what is left out does not turn code into prose.

    Args:
        whole: Size in bytes up to which a string is kept whole.
        edge: Bytes of head and of tail kept of a longer one.
    """
    if len(raw) <= whole + 2 or _first_byte(raw)[0] != _QUOTE:
        return bytes(raw)
    view = memoryview(raw)
    end = len(view) - 1
    tail = bytes(view[end - edge : end])
    tail = tail[max(0, tail.find(b" ")) :]
    middle_at = max(edge + 1, end - len(tail) - SEARCHED_BYTES)
    head, middle = _cut(bytes(view[1 : edge + 1])), bytes(view[middle_at : end - len(tail)])
    fences = _fences(middle, 0, len(middle))
    opened = (len(_fences(head, 0, len(head))) + head.startswith(b"```")) % 2
    reopened = (opened + len(fences)) % 2
    if opened and fences:
        after = _cut(middle[fences[0] : fences[0] + AFTER_BYTES])
        head, opened = head + after, (opened + len(_fences(after, 0, len(after)))) % 2
    return b'"%b%b%b"' % (head, rb"\n```\n" if opened != reopened else rb"\n", tail)


def _fences(quoted: bytes, start: int, end: int) -> list[int]:
    """Return the offsets of fences that open a line, in JSON as it stands: behind a backslash it is no line break."""
    found: list[int] = []
    at = _next_fence(quoted, start, end)
    while at >= 0 and len(found) < MAX_FENCES:
        if at == start or quoted[at - 1 : at] != b"\\":
            found.append(at)
        at = _next_fence(quoted, at + len(_FENCE), end)
    return found


def _next_fence(quoted: bytes, start: int, end: int) -> int:
    tick = quoted.find(b"`", start, end)  # one character is found many times faster than five
    return tick if tick < 0 else quoted.find(_FENCE, max(start, tick - 2), end)


def _cut(piece: bytes) -> bytes:
    """Cut a piece of a JSON string at its last blank, the one byte that is never inside an escape or character."""
    at = piece.rfind(b" ")
    return piece[:at] if at >= 0 else piece


def _decoded(piece: bytes) -> str:
    try:
        return _STRING.decode(piece)
    except msgspec.DecodeError:  # no blank where one was needed: read it as it stands
        return piece[1:-1].decode("utf-8", "ignore")
