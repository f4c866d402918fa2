"""Separate what is asked from what merely came along: fences, files, tool results, reminders, scaffolding.

Rests on structure only: roles, fences, tags of any name, where a block stands and what its lines look like. No list
of client tags, so that a client nobody has seen is read the same way.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import islice
from operator import attrgetter

import msgspec

from twospeed.policy.content import Parts, open_all, pieces_of, read_texts, system_of, texts_of
from twospeed.policy.division import WORD, Division, divide
from twospeed.types import Conversation

TEXT_CHARS = 3_000  # of the instruction: head and tail
CODE_CHARS = 2_000  # of the code it is about
SYSTEM_CHARS = 600  # of the system text, where it has to stand in for an instruction
LOOK_BACK = 8  # user messages looked at for one that asks something
WORDLESS = 10  # letters; up to this many beside material, a message says nothing itself
SHORT_ASK = 9  # letters; below this an ask needs the one before it to mean anything
SELF_CONTAINED = 480  # characters; a longer instruction is not about code that stood before it
MAX_NESTING = 4  # of tags in tags
SAID_TWICE = 200  # bytes; a message that ends with as much of the end of the system text repeats standing orders
LEAST_WORDS = 4  # of a line that may be a sentence
LEAST_SENTENCES = 0.1  # of a tagged block that may be what is asked

_POINTS = re.compile(r"\b(?:th(?:is|ese)|following|above|below|here|selected|selection|snippet)\b")
_POINTERS = ("this", "these", "following", "above", "below", "here", "select", "snippet")
_NAMED = re.compile(r"\b\d*([^\W\d]\w*+)(?=\()|(?<=`)([^\W\d]\w*)")
_LINES = re.compile(rb"(?<!\\)\\n")  # line ends as JSON writes them
_ORDER_WORDS = ("MUST", "NEVER", "ALWAYS", "IMPORTANT", "CRITICAL", "DO NOT", "SHOULD", "CANNOT", "NOTE")
_ORDERS = re.compile(rf"\b(?:{'|'.join(_ORDER_WORDS)})\b")


class Ask(msgspec.Struct, frozen=True):
    """What one request asks.

    `text`: the instruction, prose, at most TEXT_CHARS. `code`: the code it is about, at most CODE_CHARS; context
    files are not in it.
    """

    text: str
    code: str


_NOTHING = Ask("", "")
_PROSE, _CODE, _BROUGHT = attrgetter("prose"), attrgetter("code"), attrgetter("brought")


def read_ask(pieces: tuple[bytes, ...]) -> Ask:
    """Return what one message asks.

    Args:
        pieces: Of its content, as `content.pieces_of` picks them; nothing else is looked at.
    """
    texts = read_texts(pieces)
    split = [divide(text) for text in texts]
    if len(split) == 1 and split[0].said:  # as most are
        return _ask(split[0].prose, split[0].code, split[0].brought)
    if len(split) > 1 and any(s.said for s in split):
        split = [s for s in split if s.said]  # parts that are one tag from end to end came along with the others
    if not any(s.said for s in split):
        split = _inside([block for s in split for block in s.tagged])
    prose, code, brought = ([b for s in split for b in blocks(s)] for blocks in (_PROSE, _CODE, _BROUGHT))
    return _ask(prose, code, brought)


def _ask(prose: list[str], code: list[str], brought: list[str]) -> Ask:
    text = _ends_of("\n".join(prose).strip(), TEXT_CHARS)
    about = "\n".join(code)
    if brought and not about and len(text) <= SELF_CONTAINED:
        before = "\n".join(brought)
        about = before if _points_at(text, before) else ""
    return Ask(text, _ends_of(about, CODE_CHARS))


def separate(
    conversation: Conversation,
    opened: Sequence[Parts] | None = None,
    read: Callable[[tuple[bytes, ...]], Ask] = read_ask,
) -> Ask:
    """Return the instruction of a request and the code it is about.

    Completion endpoints ask nothing in words: `text` is empty, `code` is what stands around the cursor.

    Args:
        opened: The parts of each message, where they are known already.
        read: `read_ask`, or something that remembers what it said.
    """
    if conversation.prompt or conversation.suffix:
        return Ask("", conversation.prompt[-CODE_CHARS:] + conversation.suffix[: CODE_CHARS // 4])
    messages = conversation.messages
    opened = open_all(messages) if opened is None else opened
    found, looked_at = _NOTHING, 0
    for message, parts in zip(reversed(messages), reversed(opened), strict=True):
        if message.role != "user":
            continue
        pieces = pieces_of(message.content, parts)
        if len(pieces) == 1 and len(pieces[0]) > SAID_TWICE:
            pieces = (_without_orders(pieces[0], system_of(conversation)),)
        ask = read(pieces) if pieces else _NOTHING  # none where it only brings tool results
        if found.text or found.code:
            ask = Ask(f"{found.text}\n{ask.text}".strip()[:TEXT_CHARS], found.code or ask.code)
        if _letters(ask.text) >= SHORT_ASK:
            return ask
        found, looked_at = ask, looked_at + 1
        if looked_at == LOOK_BACK:
            break
    return _told_by_system(conversation, found)


def _without_orders(piece: bytes, system: msgspec.Raw) -> bytes:
    """Return a message without the lines at its end that end the system text as well: aider says its format in both."""
    if not piece.endswith(bytes(memoryview(system)[-SAID_TWICE:])):
        return piece
    told = bytes(system)
    if len(told) <= SAID_TWICE:
        return piece
    ends = range(1, min(len(piece), len(told)) + 1)
    same = bisect_left(ends, True, key=lambda size: not told.endswith(piece[-size:]))
    line = _LINES.search(piece, len(piece) - same)
    return piece[: line.start()] + b'"' if line else piece


def _told_by_system(conversation: Conversation, ask: Ask) -> Ask:
    """Where the user message only brings material, the system text says what to do with it."""
    if not ask.code or _letters(ask.text) > WORDLESS:
        return ask
    texts = texts_of(system_of(conversation))
    prose = "\n".join(p for text in texts[:2] for p in divide(text[:SYSTEM_CHARS]).prose)
    return Ask(f"{prose}\n{ask.text}".strip(), ask.code)


def _inside(blocks: list[str]) -> list[Division]:
    """Where all prose is tagged, take apart the block that is most likely what is asked."""
    for _ in range(MAX_NESTING):
        if not blocks:
            break
        inner = divide(_chosen(blocks))
        if inner.said or not inner.tagged:
            return [inner]
        blocks = inner.tagged
    return []


def _chosen(blocks: list[str]) -> str:
    """Choose the last block that has sentences and does not read like standing orders."""
    told = []
    for block in reversed(blocks):
        if _sentence_share(block) >= LEAST_SENTENCES:
            if not _orders(block):
                return block
            told.append(block)
    return told[0] if told else min(blocks, key=lambda block: block.count("\n"))


def _orders(text: str) -> bool:
    """Say whether a text reads like standing orders."""
    return sum(map(text.count, _ORDER_WORDS)) >= 2 and len(_ORDERS.findall(text)) >= 2


def _sentence_share(text: str) -> float:
    """Return which part of a text is in lines that read like sentences, 0..1; a single line counts as one."""
    lines = text[:4000].split("\n")
    if len(lines) == 1:
        return 1.0
    told = sum(len(line) for line in lines if line[:1] != "#" and line.count(" ") >= 3 and _has_words(line))
    return told / (sum(map(len, lines)) + 1)


def _has_words(line: str) -> bool:
    return next(islice(WORD.finditer(line), LEAST_WORDS - 1, None), None) is not None


def _points_at(text: str, code: str) -> bool:
    """Say whether an instruction speaks of code that stood before it: by a pointing word, or a name found there."""
    if _points(text[:160].lower()) or _points(text[160:][-120:].lower()):
        return True
    names = islice(_NAMED.finditer(text[:240]), 4) if "(" in text or "`" in text else ()
    return any(name[name.lastindex or 0] in code for name in names)


def _points(text: str) -> bool:
    return any(map(text.__contains__, _POINTERS)) and _POINTS.search(text) is not None


def _ends_of(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit * 2 // 3]}\n{text[-(limit // 3) :]}"


def _letters(text: str) -> int:
    """Count letters, as far as it matters: a text of some length is taken to have enough."""
    return len(text) if len(text) > 80 else sum(map(str.isalpha, text))
