"""Marks on a request that speak without its wording being weighed: images, side calls, plan mode, sub-agents.

Each is a yes or no; `classify` says what follows. Texts are looked at in their ends only, and patterns run only where
a plain search has found their key word. What the ends of a system text or message say is remembered, since sessions
send the same ones again.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

import msgspec

from twospeed.policy.content import SYSTEM, Part, Parts, parts_of, system_of
from twospeed.types import Conversation

SIDE_BYTES = 16_384  # a side call is small: titles are written from the opening of a conversation
SIDE_TOKENS = 256  # and so is what it may answer
SHORT_CHARS = 240  # instructions up to this length are about one small thing
LOOK_BYTES = 2_048  # of a system text or message, head and tail, searched for marks
OPENING_CHARS = 1_000  # of a system text, where it says what it is for
REMEMBERED = 512  # ends of system texts, and of messages

_IMAGE_TYPES = frozenset(("image", "image_url", "input_image"))
_SIDE_WORDS = ("title", "headline", "summar", "commit message", "branch name", "file name", "filename", "session name")
_SIDE = re.compile(
    r"\b(?:generat|creat|writ|produc|output|suggest|extract|provid|giv|mak)\w*\b[^.\n]{0,60}\b(?:titles?|headlines?|summary|"
    r"commit messages?|(?:branch|file|session|thread) ?names?)\b|\b(?:title|headline|summary) (?:generator|writer|only)\b"
    r"|\bsummari[sz]\w*\b[^.\n]{0,40}\b(?:conversation|chat|session|thread|messages?|diff|changes|discussion|transcript)\b"
)
_CHANGE = re.compile(
    r"commit messages?|branch names?|release notes?|change ?log entr|(?:pull request|pr) (?:title|description)"
)
_CHANGE_WORDS = ("commit mes", "branch nam", "release no", "changelog", "change log", "description", "title")
_CURSOR_WORDS = ("cursor", "caret", "hole", "fim", "fill", "insert", "blank", "mask", "█")
_CURSOR_OPENS = ("<", "[", "{{", "█")  # what such a mark begins with
_CURSOR = re.compile(
    r"<\|?[a-z_]{0,12}(?:cursor|caret|hole|fim|fill|insert|blank|mask)[a-z_]{0,12}\|?>|\[(?:cursor|blank|mask|insert)\]"
    r"|\{\{\w{0,8}(?:cursor|fill)\w{0,8}\}\}|█"
)
_PLAN_NOW = re.compile(
    r"plan(?:ning)? mode\W{1,6}(?:is )?(?:now |still )?(?:active|on\b|enabled)|current mode\W{1,12}plan"
    r"|mode[\"'=:> ]{1,4}plan\b|you are (?:now |currently )?in (?:\w+ )?plan(?:ning)? mode|plan(?:ning)? mode - "
)
_PLANS_LOOKED_AT = 6
_PLAN_NAME = b"lan mode"  # with either letter before it
NOTED, NOTED_FIRST = 24, 3  # messages of a long conversation looked at for such, and how many of them at its beginning
NOTE_BYTES = 65_536  # of a system message in the middle of a conversation, searched for plan mode
_PLAN_WORDS = (b"plan", b"Plan", b"PLAN")
_LOOKING = ("read", "view", "open", "list", "ls", "glob", "grep", "search", "find", "fetch", "tree", "web", "think")
_SUB_AGENT = re.compile(r"\bsub-?agents?\b|(?:search|explor\w+|research) (?:specialist|agent)")


def has_image(opened: Sequence[Parts]) -> bool:
    """Say whether any message, or a tool result in it, carries an image.

    Args:
        opened: The parts of each message.
    """
    return any(map(_show, filter(None, opened)))


def _show(parts: list[Part]) -> bool:
    return any(p.type in _IMAGE_TYPES or (p.type == "tool_result" and _show(parts_of(p.content) or [])) for p in parts)


class System(NamedTuple):
    """What a system text says: write a title or summary; plan mode is on; this is a sub-agent that explores."""

    names: bool
    plans: bool
    explores: bool


def system_marks(conversation: Conversation) -> System:
    """Return what the ends of the system text say; all no where there is none."""
    return _system_marks(_ends(system_of(conversation)))


@lru_cache(REMEMBERED)
def _system_marks(ends: bytes) -> System:
    text = _readable(ends.lower())
    opening = text[:OPENING_CHARS]
    explores = ("agent" in opening or "specialist" in opening) and _SUB_AGENT.search(opening) is not None
    return System(_names_itself(opening), _plans_now(text), explores)


def side_call(conversation: Conversation, system: System, text: str) -> bool:
    """Say whether this is a call of the client for itself: a title, a summary, a commit message.

    Args:
        text: The separated instruction.
    """
    if conversation.tools or conversation.body_bytes > SIDE_BYTES or len(conversation.messages) > 6:
        return False
    brief = conversation.wants_schema or 0 < (conversation.max_tokens or 0) <= SIDE_TOKENS
    return system.names or (brief and _names_itself(text[:300].lower()))


def _names_itself(text: str) -> bool:
    return any(map(text.__contains__, _SIDE_WORDS)) and _SIDE.search(text) is not None


def small_work(text: str, code: str) -> Literal["", "side_call", "cursor"]:
    """Say which small thing a short instruction asks for, in whatever client: a commit message or the like, or to fill a
    cursor or hole in code, which is an autocompletion sent as chat; "" for anything else.
    """
    if len(text) > SHORT_CHARS:
        return ""
    if _words_a_change(text.lower()):
        return "side_call"
    return "cursor" if text and (_has_cursor(text) or _has_cursor(code)) else ""


def _has_cursor(text: str) -> bool:
    if not any(map(text.__contains__, _CURSOR_OPENS)):
        return False
    lowered = text.lower()
    return any(map(lowered.__contains__, _CURSOR_WORDS)) and _CURSOR.search(lowered) is not None


def _words_a_change(text: str) -> bool:
    return any(map(text.__contains__, _CHANGE_WORDS)) and _CHANGE.search(text) is not None


def plan_mode(conversation: Conversation, system: System) -> bool:
    """Say whether the client has its plan mode switched on for this call."""
    if system.plans:
        return True
    messages = conversation.messages
    if len(messages) > NOTED + 1:
        messages = [*messages[: NOTED_FIRST + 1], *messages[NOTED_FIRST - NOTED :]]
    roles = [message.role for message in reversed(messages)]
    noted = any(map(roles[:-1].__contains__, SYSTEM))
    if noted and any(m.role in SYSTEM and _note_plans(m.content) for m in messages[1:]):
        return True
    return "user" in roles and _message_plans(_ends(messages[-1 - roles.index("user")].content))


def _note_plans(content: msgspec.Raw) -> bool:
    """Say whether a system message in the middle of a conversation switches plan mode on, wherever in it."""
    text = bytes(memoryview(content)[:NOTE_BYTES])
    at = text.find(_PLAN_NAME)
    for _ in range(_PLANS_LOOKED_AT):
        if at < 0:
            break
        if _PLAN_NOW.search(_readable(text[max(0, at - 40) : at + 60].lower())):
            return True
        at = text.find(_PLAN_NAME, at + 1)
    return False


def _message_plans(ends: bytes) -> bool:
    text = ends.decode("latin-1").lower()  # two searches that rarely find both, before three that are needed then
    return "mode" in text and "plan" in text and any(map(ends.__contains__, _PLAN_WORDS)) and _message_plans_now(ends)


@lru_cache(REMEMBERED)
def _message_plans_now(ends: bytes) -> bool:
    return _plans_now(_readable(ends.lower()))


def _plans_now(text: str) -> bool:
    at = text.find("plan")
    for _ in range(_PLANS_LOOKED_AT):
        if at < 0:
            break
        if _PLAN_NOW.search(text, max(0, at - 40), at + 40):
            return True
        at = text.find("plan", at + 4)
    return False


def read_only_agent(tools: Sequence[str], system: System) -> bool:
    """Say whether this is a sub-agent that may only look around."""
    return system.explores and len(tools) >= 2 and all(map(_only_looks, tools))


def _only_looks(tool: str) -> bool:
    name = tool.lower()
    return any(word in name for word in _LOOKING)


def _ends(raw: msgspec.Raw) -> bytes:
    if len(raw) <= 2 * LOOK_BYTES:
        return bytes(raw)
    view = memoryview(raw)
    return b" ".join((view[:LOOK_BYTES], view[-LOOK_BYTES:]))


def _readable(piece: bytes) -> str:
    return piece.decode("utf-8", "replace").replace("\\n", "\n")
