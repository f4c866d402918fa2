"""Take one text of a message apart: sentences, tagged blocks, code, patches, files that came along.

Knows the marks every client draws blocks with (fences, tags, hunks, a line that names a file), not which client it is.
"""

import re

import msgspec

MAX_BLOCKS = 48

WORD = re.compile(r"[^\W\d_]{2,}")
_TAG = re.compile(r"<([A-Za-z][\w.:-]{0,40})(?:\s[^<>]{0,300})?>")
_PATH_LINE = re.compile(
    r"(?:[#/*\s`>-]|[A-Za-z]{1,10}:)*[\w~./\\@+-]*[\w)]\.?[\w/\\.-]*[./\\][\w.+-]+[`:*\s]*(?:\([^)]*\))?\s*$"
)
_ENDS_IN_PATH = re.compile(r"(?:^|[\s`\"'(*])[\w~./\\-]*\w\.[A-Za-z]\w{0,5}[`\"')*]*:?$")
_PROMPT = re.compile(r"(?:^|\n)(?:\$|PS [^\n>]*>|[\w.-]+@[\w.-]+[:~][^\n$#]*[$#]) ")
_PATCH = re.compile(r"(?:(?:[ +@\\-]|diff |index |new |deleted |similarity |rename |old |Binary )[^\n]*(?:\n|$)|\n)*")
_CLOSES = re.compile(r"`*[ \t\r]*(?:\n|$)")
_LINE_ENDS = ("\n", "")
_LABEL = re.compile(r"(?:[A-Z][\w ]{0,24}|[a-z]\w{0,14}):[ \t]*")


class Division(msgspec.Struct):
    """One text taken apart.

    `prose`: sentences outside tags, or in tags that those speak of. `tagged`: other tagged sentences. `code`: blocks
    of code after the first sentence; `brought`: blocks before it. `labelled`: blocks under a line that ends in a file name, with that
    line. `said`: there is any `prose`.
    """

    prose: list[str]
    tagged: list[str]
    code: list[str]
    brought: list[str]
    labelled: list[tuple[str, str]]
    said: bool = False


def divide(text: str) -> Division:
    """Take a text apart into prose, tagged prose and code; context files and dumps are dropped."""
    result = Division([], [], [], [], [])
    if not ("`" in text or "<" in text or "@" in text):  # neither fence nor tag nor patch
        _say(text, result)
        return result
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
    if not result.said:
        for line, body in result.labelled:  # such a line may be all that is said: "Fix the bug in a.py:"
            _say(line, result)
            _keep(body, result)
    return result


def _say(prose: str, result: Division) -> None:
    """Keep a piece of prose without a leading one-word label such as `Question:`."""
    prose = _past_prompts(prose.strip())
    match = _LABEL.match(prose)
    prose = prose[match.end() :].lstrip() if match else prose
    if prose and WORD.search(prose):
        result.prose.append(prose)
        result.said = True


def _past_prompts(prose: str) -> str:
    """Leave out a terminal session that a text begins with, up to the end of its last command's output."""
    if not _PROMPT.match(prose):
        return prose
    last = max(match.start() for match in _PROMPT.finditer(prose))
    end = prose.find("\n\n", last + 1)
    return prose[end:].strip() if end >= 0 else prose


def _keep(body: str, result: Division) -> None:
    (result.code if result.said else result.brought).append(body)


def _find(text: str, mark: str, key: str, start: int) -> int:
    """Find a mark through the rarest of its characters, which is many times faster where there is none.

    Args:
        key: That character; of `mark`.
    """
    at = text.find(key, start)
    return at if at < 0 else text.find(mark, max(start, at - len(mark)))


def _next(text: str, mark: str, start: int) -> int:
    at = text.find(mark, start)
    return len(text) if at < 0 else at


def _next_fence(text: str, start: int) -> int:
    """Return the offset of the next fence that opens a line, else the length of the text."""
    at = _find(text, "```", "`", start)
    while at >= 0:
        line = text.rfind("\n", start, at) + 1
        if not text[max(line, start) : at].strip(" \t>"):
            return at
        at = text.find("```", at + 3)
    return len(text)


def _next_tag(text: str, start: int) -> int:
    """Return the offset of the next tag that opens a line and is closed again, else the length of the text."""
    first = start == 0 and text.startswith("<")
    at = 0 if first else _find(text, "\n<", "<", max(0, start - 1)) + 1
    for _ in range(MAX_BLOCKS):
        if at == 0 and not first:
            break
        match = _TAG.match(text, at)
        if match and text.find(f"</{match[1]}>", match.end()) >= 0:
            return at
        first, at = False, _find(text, "\n<", "<", at + 1) + 1
    return len(text)


def _next_patch(text: str, start: int) -> int:
    """Return the offset of the next patch: its `diff` line, or its first hunk where it has none."""
    at = _find(text, "\n@@ -", "@", max(0, start - 1))
    if at < 0:
        return len(text)
    head = text.find("diff --git ", start, at)
    return head if head >= 0 and (head == 0 or text[head - 1] == "\n") else at + 1


def _fenced(text: str, at: int) -> tuple[str, int]:
    """Return the inside of the fence that opens at `at`, and where it ends; one never closed runs to the end."""
    line = _next(text, "\n", at)
    end = first = _find(text, "\n```", "`", line)
    while end >= 0 and text[end + 4 : end + 5] not in _LINE_ENDS and not _CLOSES.match(text, end + 4):
        end = _find(text, "\n```", "`", end + 4)
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
    if len(line) <= 160 and _names_a_file(line):
        _say(prose[:cut], result)
        return
    if len(line) <= 120 and line.count(" ") <= 8 and _ends_in_path(line):
        _say(prose[:cut], result)
        result.labelled.append((line, body))
        return
    _say(prose[:cut] if len(line) < 40 and ":" in line and _LABEL.fullmatch(line + " ") else prose, result)
    _keep(body, result)


def _names_a_file(line: str) -> bool:
    return ("." in line or "/" in line or "\\" in line) and _PATH_LINE.match(line) is not None


def _ends_in_path(line: str) -> bool:
    dot = line.rfind(".") + 1
    return dot > 0 and line[dot : dot + 1].isalpha() and _ENDS_IN_PATH.search(line) is not None


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
    if _speaks_of(match[1], lead):
        inner = divide(body)
        result.prose.append("\n".join([*inner.prose, *inner.tagged]))
        result.code.extend(inner.code)
    elif body:
        result.tagged.append(body)
    return inside + len(close)


def _speaks_of(tag: str, lead: str) -> bool:
    line = lead.rstrip()[-200:]
    if not WORD.search(line):
        return False
    words = [w for w in re.split(r"[\W_]+", tag.lower()) if len(w) > 2]
    return line.endswith(":") or any(w in line.lower() for w in words)
