"""Marks on a request that speak without its wording being weighed: images, side calls, plan mode, sub-agents.

Each is a yes or no with a short reason; `classify` says what follows. Content is looked at in its ends only.
"""

import re
from collections.abc import Sequence

import msgspec

from twospeed.policy.instruction import parts_of
from twospeed.types import Conversation, Message

SIDE_BYTES = 16_384  # a side call is small: titles are written from the opening of a conversation
SIDE_TOKENS = 256  # and so is what it may answer
LOOK_BYTES = 3_072  # of a system text or message, head and tail, searched for marks

_IMAGE_TYPES = frozenset(("image", "image_url", "input_image"))
_SIDE = re.compile(
    r"\b(?:titles?|headlines?|summari[sz]e|summary|commit messages?|branch names?|topic|file ?names?|session names?)\b",
    re.IGNORECASE,
)
_PLAN_NOW = re.compile(
    r"plan(?:ning)? mode\W{1,6}(?:is )?(?:now |still )?(?:active|on\b|enabled)|current mode\W{1,12}plan|mode[\"'=:> ]{1,4}plan\b"
    r"|you are (?:now |currently )?in (?:\w+ )?plan(?:ning)? mode|plan(?:ning)? mode - ",
    re.IGNORECASE,
)
_READS_ONLY = re.compile(r"read|view|open|list|\bls\b|glob|grep|search|find|fetch|tree|web|think|todo", re.IGNORECASE)
_SUB_AGENT = re.compile(r"\bsub-?agents?\b|(?:search|explor\w+|research) (?:specialist|agent)", re.IGNORECASE)


def has_image(messages: Sequence[Message]) -> bool:
    """Say whether any message, or a tool result in it, carries an image."""
    return any(_shows(m.content) for m in messages)


def _shows(content: msgspec.Raw) -> bool:
    parts = parts_of(content)
    return bool(parts) and any(
        p.type in _IMAGE_TYPES or (p.type == "tool_result" and _shows(p.content)) for p in parts or ()
    )


def system_of(conversation: Conversation) -> str:
    """Return head and tail of the system text, "" when there is none; JSON escapes but line breaks are left as sent."""
    if len(memoryview(conversation.system)) > 4:
        return _ends(conversation.system)
    first = next((m for m in conversation.messages[:2] if m.role in ("system", "developer")), None)
    return _ends(first.content) if first is not None else ""


def side_call(conversation: Conversation, system: str, text: str) -> bool:
    """Say whether this is a call of the client for itself: a title, a summary, a commit message.

    Args:
        system: Head and tail of the system text.
        text: The separated instruction.
    """
    if conversation.tools or conversation.body_bytes > SIDE_BYTES or len(conversation.messages) > 6:
        return False
    brief = conversation.wants_schema or 0 < (conversation.max_tokens or 0) <= SIDE_TOKENS
    named = _SIDE.search(system[:1200])
    return bool(named and (brief or len(system) < 6_000)) or bool(brief and _SIDE.search(text[:300]))


def plan_mode(conversation: Conversation, system: str) -> bool:
    """Say whether the client has its plan mode switched on for this call."""
    if _PLAN_NOW.search(system):
        return True
    last = next((m for m in reversed(conversation.messages) if m.role == "user"), None)
    return last is not None and bool(_PLAN_NOW.search(_ends(last.content)))


def read_only_agent(tools: Sequence[str], system: str) -> bool:
    """Say whether this is a sub-agent that may only look around."""
    return len(tools) > 1 and bool(_SUB_AGENT.search(system[:1200])) and all(_READS_ONLY.search(t) for t in tools)


def _ends(raw: msgspec.Raw) -> str:
    view = memoryview(raw)
    ends = bytes(view) if len(view) <= 2 * LOOK_BYTES else bytes(view[:LOOK_BYTES]) + b" " + bytes(view[-LOOK_BYTES:])
    return ends.decode("utf-8", "replace").replace("\\n", "\n")
