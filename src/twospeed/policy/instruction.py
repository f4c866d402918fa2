"""Separate what is asked from what merely came along: fences, files, tool results, reminders, scaffolding.

Rests on structure only: roles, fences, tags of any name, where a block stands and what its lines look like. No list
of client tags, so that a client nobody has seen is read the same way.
"""

import re

import msgspec

from twospeed.policy.content import said_by_user, system_of, texts_of
from twospeed.types import Conversation, Message

TEXT_CHARS = 3_000  # of the instruction: head and tail
CODE_CHARS = 2_000  # of the code it is about
SYSTEM_CHARS = 600  # of the system text, where it has to stand in for an instruction
LOOK_BACK = 8  # user messages looked at for one that asks something
MAX_BLOCKS = 48
WORDLESS = 10  # letters; up to this many beside material, a message says nothing itself
SHORT_ASK = 9  # letters; below this an ask needs the one before it to mean anything
SELF_CONTAINED = 480  # characters; a longer instruction is not about code that stood before it
ENOUGH_PROSE = 160  # characters of tagged prose after which more tagged prose is taken for scaffolding

_TAG = re.compile(r"<([A-Za-z][\w.:-]{0,40})(?:\s[^<>]{0,300})?>")
_PATH_LINE = re.compile(
    r"(?:[#/*\s`>-]|[A-Za-z]{1,10}:)*[\w~./\\@+-]*[\w)]\.?[\w/\\.-]*[./\\][\w.+-]+[`:*\s]*(?:\([^)]*\))?\s*$"
)
_PATCH = re.compile(r"(?:(?:[ +@\\-]|diff |index |new |deleted |similarity |rename |old |Binary )[^\n]*(?:\n|$)|\n)*")
_CLOSES = re.compile(r"`*[ \t\r]*(?:\n|$)")
_LABEL = re.compile(r"(?:[A-Z][\w ]{0,24}|[a-z]\w{0,14}):[ \t]*")
_WORD = re.compile(r"[^\W\d_]{2,}")
_POINTS = re.compile(r"\b(?:th(?:is|ese)|following|above|below|here|selected|selection|snippet)\b", re.IGNORECASE)
_NAMED = re.compile(r"[^\W\d]\w*(?=\()|(?<=`)[^\W\d]\w*")
_ORDERS = re.compile(r"\b(?:MUST|NEVER|ALWAYS|IMPORTANT|CRITICAL|DO NOT|SHOULD|CANNOT|NOTE)\b")


class Ask(msgspec.Struct, frozen=True):
    """What one request asks.

    `text`: the instruction, prose, at most TEXT_CHARS. `code`: the code it is about, at most CODE_CHARS; context
    files are not in it. `context_chars`: what was set aside in the asking message, as far as it was read.
    """

    text: str
    code: str
    context_chars: int = 0


def separate(conversation: Conversation) -> Ask:
    """Return the instruction of a request and the code it is about.

    Completion endpoints ask nothing in words: `text` is empty, `code` is what stands around the cursor.
    """
    if conversation.prompt or conversation.suffix:
        return Ask("", conversation.prompt[-CODE_CHARS:] + conversation.suffix[: CODE_CHARS // 4])
    found = Ask("", "")
    for message in reversed(said_by_user(conversation.messages)[-LOOK_BACK:]):
        ask = _ask_of(message)
        if found.text or found.code:
            ask = Ask(f"{found.text}\n{ask.text}".strip()[:TEXT_CHARS], found.code or ask.code, found.context_chars)
        if _letters(ask.text) >= SHORT_ASK:
            return ask
        found = ask
    return _told_by_system(conversation, found)


def _told_by_system(conversation: Conversation, ask: Ask) -> Ask:
    """Where the user message only brings material, the system text says what to do with it."""
    if not ask.code or _letters(ask.text) > WORDLESS:
        return ask
    texts = texts_of(system_of(conversation))
    prose = "\n".join(p for text in texts[:2] for p in divide(text[:SYSTEM_CHARS]).prose)
    return Ask(f"{prose}\n{ask.text}".strip(), ask.code, ask.context_chars)


def _ask_of(message: Message) -> Ask:
    texts = texts_of(message.content)
    split = [divide(text) for text in texts]
    if len(split) > 1 and any(s.said for s in split):
        split = [s for s in split if s.said]  # parts that are one tag from end to end came along with the others
    prose = "\n".join(p for s in split for p in (s.prose or _first_tagged(s.tagged)))
    text = _ends_of(prose.strip(), TEXT_CHARS)
    code = "\n".join(c for s in split for c in s.code)
    if not code:
        code = "\n".join(c for s in split for c in s.brought)
        code = code if len(text) <= SELF_CONTAINED and _points_at(text, code) else ""
    kept = len(text) + len(code)
    return Ask(text, _ends_of(code, CODE_CHARS), max(0, sum(map(len, texts)) - kept))


def _first_tagged(blocks: list[str]) -> list[str]:
    """Where all prose is tagged, prefer what does not read like standing orders, and the first of it."""
    calm = [b for b in blocks if len(_ORDERS.findall(b)) < 2] or blocks
    size = 0
    for count, block in enumerate(calm, 1):
        size += len(block)
        if size >= ENOUGH_PROSE:
            return calm[:count]
    return calm


def _points_at(text: str, code: str) -> bool:
    """Say whether an instruction speaks of code that stood before it: by a pointing word, or a name found there."""
    if _POINTS.search(text[:160]) or _POINTS.search(text[160:][-120:]):
        return True
    return any(name in code for name in _NAMED.findall(text[:240])[:4])


def _ends_of(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit * 2 // 3]}\n{text[-(limit // 3) :]}"


def _letters(text: str) -> int:
    """Count letters, as far as it matters: a text of some length is taken to have enough."""
    return len(text) if len(text) > 80 else sum(map(str.isalpha, text))


class Division(msgspec.Struct):
    """One text taken apart.

    `prose`: sentences outside tags, or in tags that those speak of. `tagged`: other tagged sentences. `code`: blocks
    of code after the first sentence; `brought`: blocks before it. `said`: there is any `prose`.
    """

    prose: list[str]
    tagged: list[str]
    code: list[str]
    brought: list[str]
    said: bool = False


def divide(text: str) -> Division:
    """Take a text apart into prose, tagged prose and code; context files and dumps are dropped."""
    result = Division([], [], [], [])
    size, start = len(text), 0
    fence, tag, patch = _next_fence(text, 0), _next_tag(text, 0), _next_patch(text, 0)
    for _ in range(MAX_BLOCKS):
        at = min(fence, tag, patch)
        if at >= size:
            break
        lead = text[start:at]
        if at == fence:
            body, start = _fenced(text, fence)
            _file(lead, body, result)
        elif at == patch:
            start = _patched(text, patch, lead, result)
        else:
            _say(lead, result)
            start = _tagged(text, tag, lead, result)
        fence = fence if fence >= start else _next_fence(text, start)
        tag = tag if tag >= start else _next_tag(text, start)
        patch = patch if patch >= start else _next_patch(text, start)
    _say(text[start:], result)
    return result


def _say(prose: str, result: Division) -> None:
    """Keep a piece of prose without a leading one-word label such as `Question:`."""
    prose = prose.strip()
    match = _LABEL.match(prose)
    prose = prose[match.end() :].lstrip() if match else prose
    if prose and _WORD.search(prose):
        result.prose.append(prose)
        result.said = True


def _keep(body: str, result: Division) -> None:
    (result.code if result.said else result.brought).append(body)


def _next(text: str, mark: str, start: int) -> int:
    at = text.find(mark, start)
    return len(text) if at < 0 else at


def _next_fence(text: str, start: int) -> int:
    """Return the offset of the next fence that opens a line, else the length of the text."""
    at = text.find("```", start)
    while at >= 0:
        line = text.rfind("\n", start, at) + 1
        if not text[max(line, start) : at].strip(" \t>"):
            return at
        at = text.find("```", at + 3)
    return len(text)


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


def _next_patch(text: str, start: int) -> int:
    """Return the offset of the next patch: its `diff` line, or its first hunk where it has none."""
    at = text.find("\n@@ -", max(0, start - 1))
    if at < 0:
        return len(text)
    head = text.find("diff --git ", start, at)
    return head if head >= 0 and (head == 0 or text[head - 1] == "\n") else at + 1


def _fenced(text: str, at: int) -> tuple[str, int]:
    """Return the inside of the fence that opens at `at`, and where it ends; one never closed runs to the end."""
    line = _next(text, "\n", at)
    end = first = text.find("\n```", line)
    while end >= 0 and not _CLOSES.match(text, end + 4):
        end = text.find("\n```", end + 4)
    end = end if end >= 0 else first
    if line >= len(text) or end < 0:
        inside = text.find("```", at + 3)
        return (text[at + 3 : inside], inside + 3) if 0 <= inside < line else (text[line + 1 :], len(text))
    return text[line + 1 : end], _next(text, "\n", end + 1)


def _file(lead: str, body: str, result: Division) -> None:
    """Keep a fenced block, unless the line before it names a file: then it is context, and so is that line."""
    prose = lead.rstrip()
    cut = prose.rfind("\n") + 1
    line = prose[cut:]
    if len(line) <= 160 and _PATH_LINE.match(line):
        _say(prose[:cut], result)
        return
    _say(prose[:cut] if len(line) < 40 and _LABEL.fullmatch(line + " ") else prose, result)
    _keep(body, result)


def _patched(text: str, at: int, lead: str, result: Division) -> int:
    _say(lead, result)
    match = _PATCH.match(text, at)
    end = max(match.end() if match else 0, at + 3)
    result.code.append(text[at:end])
    return end


def _tagged(text: str, at: int, lead: str, result: Division) -> int:
    """Keep the prose of a tagged block; it counts as said if the text around it speaks of it."""
    match = _TAG.match(text, at)
    if match is None:
        return at + 1
    close = f"</{match[1]}>"
    inside = text.find(close, match.end())
    body = text[match.end() : inside].strip()
    spoken_of = _speaks_of(match[1], lead)
    if spoken_of or looks_like_prose(body):
        inner = divide(body)
        kept = "\n".join([*inner.prose, *inner.tagged])
        result.code.extend(inner.code)
        (result.prose if spoken_of else result.tagged).append(kept)
    return inside + len(close)


def _speaks_of(tag: str, lead: str) -> bool:
    line = lead.rstrip()[-200:]
    if not _WORD.search(line):
        return False
    words = [w for w in re.split(r"[\W_]+", tag.lower()) if len(w) > 2]
    return line.endswith(":") or any(w in line.lower() for w in words)


def looks_like_prose(text: str) -> bool:
    """Say whether most of the head of a text is sentences rather than paths, code, listings or key-value lines."""
    lines = [line for line in text[:1500].split("\n") if line.strip()][:24]
    if not lines:
        return False
    score = sum(len(line) if len(_WORD.findall(line)) >= 4 and line.count(" ") >= 3 else -len(line) for line in lines)
    return score > 0 or len(lines) <= 2
