"""Read message content as JSON text, a bounded amount of it: of a long string only what stands at its ends.

A content is a string or a list of parts. A body of 200 KB costs about as much to read as one of 30 KB.
"""

from collections.abc import Sequence

import msgspec

from twospeed.types import NULL, Conversation, Message

WHOLE_BYTES = 12_288  # contents up to this size are read whole
EDGE_BYTES = 6_144  # of longer ones, this much of the head and of the tail
AFTER_BYTES = 1_536  # and this much behind the block in which the head ends
SEARCHED_BYTES = 262_144  # of what is left out, this much is searched for fences
MAX_TEXTS = 6
MAX_FENCES = 400

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
_LIST = ord("[")


def open_all(messages: Sequence[Message]) -> list[Parts]:
    """Return the parts of each message; None for those that are plain text."""
    return [parts_of(m.content) for m in messages]


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
    view = memoryview(raw)
    return len(view) > 0 and view[0] == _LIST


def is_blank(content: msgspec.Raw) -> bool:
    """Say whether a content is null, "" or []."""
    return len(memoryview(content)) <= 4


def texts_of(content: msgspec.Raw) -> list[str]:
    """Return the texts of a content, one for each text part, each as far as it is read."""
    return read_texts(pieces_of(content, parts_of(content)))


def pieces_of(content: msgspec.Raw, parts: Parts) -> list[msgspec.Raw]:
    """Return what is read of a content, still as JSON: the string it is, or the texts of its first and last parts."""
    if parts is None:
        return [content] if bytes(memoryview(content)[:1]) == b'"' else []
    texts = [p.text for p in parts if p.type in ("text", "input_text", "")]
    half = MAX_TEXTS // 2
    return texts if len(texts) <= MAX_TEXTS else [*texts[:half], *texts[-half:]]


def read_texts(pieces: Sequence[msgspec.Raw]) -> list[str]:
    """Decode pieces of one content, the fewer the more of each."""
    share = max(1, len(pieces))
    return [string_of(raw, WHOLE_BYTES // share, EDGE_BYTES // share) for raw in pieces]


def system_of(conversation: Conversation) -> msgspec.Raw:
    """Return the content of the system text, null when there is none."""
    if not is_blank(conversation.system):
        return conversation.system
    first = next((m for m in conversation.messages[:2] if m.role in ("system", "developer")), None)
    return first.content if first is not None else NULL


def string_of(raw: msgspec.Raw, whole: int = WHOLE_BYTES, edge: int = EDGE_BYTES) -> str:
    """Decode a JSON string; of a long one its ends only; "" for anything else.

    Where the head ends inside a fenced block, what follows that block is read too: the instruction often stands
    between a file and its tests. Fences are balanced, so that what is left out does not turn code into prose.

    Args:
        whole: Size in bytes up to which a string is decoded whole.
        edge: Bytes of head and of tail decoded of a longer one.
    """
    quoted = bytes(raw)
    if not quoted.startswith(b'"'):
        return ""
    if len(quoted) <= whole + 2:
        return _STRING.decode(quoted)
    end = len(quoted) - 1
    tail_at = quoted.find(b" ", end - edge, end)
    tail_at = tail_at if tail_at >= 0 else end - edge
    head, tail = _cut(quoted[1 : edge + 1]), _decoded(quoted[tail_at:end])
    fences = _fences(quoted, max(edge + 1, tail_at - SEARCHED_BYTES), tail_at)
    opened = (_opening(head) + head.startswith("```")) % 2
    reopened = (opened + len(fences)) % 2
    if opened and fences:
        after = _cut(quoted[fences[0] : min(tail_at, fences[0] + AFTER_BYTES)])
        head, opened = head + after, (opened + _opening(after)) % 2
    return head + ("\n```\n" if opened != reopened else "\n") + tail


def _opening(text: str) -> int:
    """Count the fences that open a line, but for the first line."""
    return text.count("\n```", max(0, text.find("`") - 1)) if "`" in text else 0


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


def _cut(piece: bytes) -> str:
    """Decode a piece of a JSON string up to its last blank, the one byte that is never inside an escape or character."""
    at = piece.rfind(b" ")
    return _decoded(piece[:at] if at >= 0 else piece)


def _decoded(piece: bytes) -> str:
    try:
        return _STRING.decode(b'"%b"' % piece)
    except msgspec.DecodeError:  # no blank where one was needed: read it as it stands
        return piece.decode("utf-8", "ignore")
