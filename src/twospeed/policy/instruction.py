"""Separate what is asked from what merely came along: fences, files, tool results, reminders, scaffolding.

Rests on structure only: roles, fences, tags of any name, where a block stands and what its lines look like. No list
of client tags, so that a client nobody has seen is read the same way. Text is bounded: of a long content only its
head and tail are decoded, a body of 200 KB costs about as much as one of 30 KB.
"""

import re
from collections.abc import Sequence

import msgspec

from twospeed.types import Conversation, Message

WHOLE_BYTES = 12_288  # contents up to this size are read whole
EDGE_BYTES = 6_144  # of longer ones, this much of the head and of the tail
FENCE_BYTES = 262_144  # of the part left out, this much is searched for fences
TEXT_CHARS = 3_000  # of the instruction: head and tail
CODE_CHARS = 2_000  # of the code it is about
LOOK_BACK = 8  # user messages looked at for one that asks something
MAX_BLOCKS = 48
SHORT_ASK = 24  # letters; below this an ask needs the one before it to mean anything

_STRING = msgspec.json.Decoder(str)
_TAG = re.compile(r"<([A-Za-z][\w.:-]{0,40})(?:\s[^<>]{0,300})?>")
_PATH_LINE = re.compile(
    r"(?:[#/*\s`>-]|[A-Za-z]{1,10}:)*[\w~./\\@+-]*[\w)]\.?[\w/\\.-]*[./\\][\w.+-]+[`:*\s]*(?:\([^)]*\))?\s*$"
)
_LABEL = re.compile(r"(?:[A-Z][\w ]{0,24}|[a-z]\w{0,14}):[ \t]*")
_WORD = re.compile(r"[^\W\d_]{2,}")
_LEAD_IN = re.compile(r"follow|below|this|here", re.IGNORECASE)


class Part(msgspec.Struct, gc=False):
    """One part of a content list, as far as routing reads it; `text`, `content` and `input` stay JSON."""

    type: str = ""
    text: msgspec.Raw = msgspec.Raw(b"null")
    content: msgspec.Raw = msgspec.Raw(b"null")
    input: msgspec.Raw = msgspec.Raw(b"null")
    name: str | None = None
    is_error: bool | None = None


_PARTS = msgspec.json.Decoder(list[Part])


class Ask(msgspec.Struct, frozen=True):
    """What one request asks.

    `text`: the instruction, prose, at most TEXT_CHARS. `code`: the code it is about, at most CODE_CHARS; context
    files are not in it. `context_chars`: what was set aside in the asking message, as far as it was read.
    `position`: how many user messages stand before the asking one.
    """

    text: str
    code: str
    context_chars: int = 0
    position: int = 0


def separate(conversation: Conversation) -> Ask:
    """Return the instruction of a request and the code it is about.

    Completion endpoints ask nothing in words: `text` is empty, `code` is what stands around the cursor.
    """
    if conversation.prompt or conversation.suffix:
        return Ask("", conversation.prompt[-CODE_CHARS:] + conversation.suffix[: CODE_CHARS // 4])
    asks = [m for m in conversation.messages if m.role == "user"]
    found: Ask | None = None
    for position in range(len(asks) - 1, max(-1, len(asks) - 1 - LOOK_BACK), -1):
        ask = _ask_of(asks[position], position)
        if found is not None:
            ask = Ask(
                f"{found.text}\n{ask.text}"[:TEXT_CHARS], found.code or ask.code, found.context_chars, found.position
            )
        if _letters(ask.text) >= SHORT_ASK:
            return ask
        if found is None or not found.text:
            found = ask
        elif ask.text != found.text:
            return ask
    return found or Ask("", "")


def parts_of(content: msgspec.Raw) -> list[Part] | None:
    """Return the parts of a content list; None for a plain string, nothing, or a list of something else."""
    if bytes(memoryview(content)[:1]) != b"[":
        return None
    try:
        return _PARTS.decode(content)
    except msgspec.ValidationError:
        return None


def string_of(raw: msgspec.Raw, whole: int = WHOLE_BYTES, edge: int = EDGE_BYTES) -> str:
    """Decode a JSON string; of a long one head and tail only, and "" for anything else.

    A fence open at the end of the head is closed, one open at the start of the tail is opened, so that what was left
    out in between does not turn code into prose.

    Args:
        whole: Size in bytes up to which a string is decoded whole.
        edge: Bytes of head and of tail decoded of a longer one.
    """
    view = memoryview(raw)
    if bytes(view[:1]) != b'"':
        return ""
    if len(view) <= whole + 2:
        return _STRING.decode(raw)
    head, tail = _cut(bytes(view[1 : 1 + edge]), head=True), _cut(bytes(view[-1 - edge : -1]), head=False)
    middle = bytes(view[1 + len(head.encode()) : -1 - edge][-FENCE_BYTES:])
    opened = head.count("```") % 2
    open_later = (opened + middle.count(b"```")) % 2
    return head + ("\n```\n" if opened != open_later else "\n") + tail


def _cut(piece: bytes, head: bool) -> str:
    """Decode a slice of a JSON string at a blank, the one byte that is never inside an escape or a character."""
    at = piece.rfind(b" ") if head else piece.find(b" ")
    if at >= 0:
        try:
            return _STRING.decode(b'"' + (piece[:at] if head else piece[at:]) + b'"')
        except msgspec.DecodeError:
            pass  # not JSON after all: read it as it stands
    return piece.decode("utf-8", "ignore")


def texts_of(message: Message) -> list[str]:
    """Return the texts of a message, one for each text part, each cut to head and tail."""
    parts = parts_of(message.content)
    if parts is None:
        text = string_of(message.content)
        return [text] if text else []
    texts = [p.text for p in parts if p.type in ("text", "input_text", "")]
    share = max(1, min(len(texts), 6))
    return [string_of(raw, WHOLE_BYTES // share, EDGE_BYTES // share) for raw in _ends(texts, 3)]


def _ends(items: Sequence[msgspec.Raw], count: int) -> Sequence[msgspec.Raw]:
    return items if len(items) <= 2 * count else [*items[:count], *items[-count:]]


def _ask_of(message: Message, position: int) -> Ask:
    texts = texts_of(message)
    split = [divide(text) for text in texts]
    if len(split) > 1 and any(s.said for s in split):
        split = [s for s in split if s.said]  # parts that are one tag from end to end came along with the others
    prose = "\n".join(p for s in split for p in (s.prose or s.tagged))
    code = "\n".join(c for s in split for c in s.code)
    text = _ends_of(prose.strip(), TEXT_CHARS)
    kept = len(text) + len(code)
    return Ask(text, _ends_of(code, CODE_CHARS), max(0, sum(map(len, texts)) - kept), position)


def _ends_of(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit * 2 // 3]}\n{text[-(limit // 3) :]}"


def _letters(text: str) -> int:
    return len("".join(_WORD.findall(text[:400])))


class Division(msgspec.Struct):
    """One text taken apart. `said`: there is prose outside all tags. `prose` is what to read first, else `tagged`."""

    prose: list[str]
    tagged: list[str]
    code: list[str]
    said: bool = False


def divide(text: str) -> Division:
    """Take a text apart into prose, tagged prose and code; context files and dumps are dropped."""
    result = Division([], [], [])
    start = at = 0
    fence, tag = _next(text, "```", 0), _next_tag(text, 0)
    for _ in range(MAX_BLOCKS):
        at = min(fence, tag)
        if at >= len(text):
            break
        lead = text[start:at]
        if fence <= tag:
            body, start = _fenced(text, fence)
            result.prose.append(_leading(lead, body, result))
        else:
            result.prose.append(lead)
            start = _tagged(text, tag, lead, result)
        fence = fence if fence >= start else _next(text, "```", start)
        tag = tag if tag >= start else _next_tag(text, start)
    result.prose.append(text[start:])
    result.prose = [p for p in map(_unlabelled, result.prose) if p]
    result.said = any(_WORD.search(p) for p in result.prose)
    if not result.said:
        result.prose = []
    return result


def _next(text: str, mark: str, start: int) -> int:
    at = text.find(mark, start)
    return len(text) if at < 0 else at


def _next_tag(text: str, start: int) -> int:
    """Return the offset of the next tag that opens a line and is closed again, else the length of the text."""
    first = start == 0 and text.startswith("<")
    at = 0 if first else text.find("\n<", max(0, start - 1)) + 1
    for _ in range(MAX_BLOCKS):
        if at == 0 and not first:
            break
        match = _TAG.match(text, at)
        if match and text.find(f"</{match[1]}>", match.end()) >= 0:
            return at
        first, at = False, text.find("\n<", at) + 1
    return len(text)


def _fenced(text: str, at: int) -> tuple[str, int]:
    """Return the inside of the fence that opens at `at`, and where it ends; one never closed runs to the end."""
    line = _next(text, "\n", at)
    end = text.find("\n```", line)
    if line >= len(text) or end < 0:
        inside = text.find("```", at + 3)
        return (text[at + 3 : inside], inside + 3) if 0 <= inside < line else (text[line + 1 :], len(text))
    return text[line + 1 : end], _next(text, "\n", end + 1)


def _leading(lead: str, body: str, result: Division) -> str:
    """Put a fenced block where it belongs by the line before it; return the prose without that line if it is a label."""
    prose = lead.rstrip()
    cut = prose.rfind("\n") + 1
    line = prose[cut:]
    if len(line) <= 160 and _PATH_LINE.match(line):
        return prose[:cut]
    result.code.append(body)
    return prose[:cut] if len(line) < 40 and _LABEL.fullmatch(line + " ") else prose


def _tagged(text: str, at: int, lead: str, result: Division) -> int:
    """Keep the prose of a tagged block that the text around it speaks of; return where the block ends."""
    match = _TAG.match(text, at)
    if match is None:
        return at + 1
    close = f"</{match[1]}>"
    inside = text.find(close, match.end())
    body = text[match.end() : inside].strip()
    if looks_like_prose(body):
        inner = divide(body)
        kept = [*inner.prose, *inner.tagged]
        result.code.extend(inner.code)
        (result.prose if _speaks_of(match[1], lead) else result.tagged).extend(kept)
    return inside + len(close)


def _speaks_of(tag: str, lead: str) -> bool:
    line = lead.rstrip()[-200:]
    if not _WORD.search(line):
        return False
    words = [w for w in re.split(r"[\W_]+", tag.lower()) if len(w) > 2]
    return line.endswith(":") or any(w in line.lower() for w in words)


def _unlabelled(prose: str) -> str:
    """Strip a leading one-word label such as `Question:`."""
    prose = prose.strip()
    match = _LABEL.match(prose)
    return prose[match.end() :].lstrip() if match else prose


def looks_like_prose(text: str) -> bool:
    """Say whether most of the head of a text is sentences rather than paths, code, listings or key-value lines."""
    lines = [line for line in text[:1500].split("\n") if line.strip()][:24]
    if not lines:
        return False
    score = sum(len(line) if len(_WORD.findall(line)) >= 4 and line.count(" ") >= 3 else -len(line) for line in lines)
    return score > 0 or len(lines) <= 2
