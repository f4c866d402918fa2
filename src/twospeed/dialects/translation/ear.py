"""Ear: listens to an answer as the client gets it, for those who must know what was said: text, tool calls, refusal.

Only what is asked for is decoded: of a stream the events of the first characters, and those of tool calls. It never
raises: what cannot be read leaves it deaf, and `heard` says so. Reasoning is not listened to.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from twospeed.dialects import sse
from twospeed.dialects.openai_answer import UNREADABLE
from twospeed.dialects.translation.bridge import FAR, Hearer
from twospeed.dialects.translation.chat_hear import ChatHearer
from twospeed.dialects.translation.hub import CallBegin, CallMore, Event, Say
from twospeed.types import Called, Heard

MOST_CALLS = 64
MOST_ARGUMENTS = 262_144  # characters, of all calls together
_DATA = re.compile(rb"^data: ?(.*)$", re.MULTILINE)
_REFUSAL = re.compile(rb'"refusal": ?"[^"]|"type": ?"refusal"|response\.refusal\.')
_REFUSED = frozenset({"content_filter", "refusal"})
_CUT = frozenset({"length", "max_tokens", "max_output_tokens", "incomplete", "model_context_window_exceeded"})
_WRONG_SHAPE = (*UNREADABLE, AttributeError, KeyError, TypeError)


class Marks(NamedTuple):
    """What tells events worth decoding: those of text, and those of calls."""

    text: tuple[bytes, ...]
    calls: tuple[bytes, ...]


MARKS = {
    "openai_chat": Marks((b'"content"',), (b'"tool_calls"', b'"function_call"')),
    "openai_completions": Marks((b'"text"', b'"content"'), ()),
    "openai_responses": Marks((b"output_text.delta", b"refusal.delta"), (b"_call",)),
    "anthropic_messages": Marks((b"text_delta", b"content_block_start"), (b"tool_use", b"input_json_delta")),
}
_PIECES = b"call_arguments.delta", b"call_input.delta"  # Responses says them again, whole, when the call is done


class Ear:
    """Listens to one answer.

    Args:
        dialect: Name of the dialect that the client is answered in; one that is not in MARKS is not listened to.
        most: Characters of text that are kept.
    """

    __slots__ = (
        "_arguments",
        "_deaf",
        "_dialect",
        "_hearer",
        "_left",
        "_marks",
        "_names",
        "_refused",
        "_room",
        "_text",
    )

    def __init__(self, dialect: str, most: int) -> None:
        self._dialect = dialect
        self._marks = MARKS.get(dialect)
        self._hearer: Hearer = FAR[dialect].hearer() if dialect in FAR else ChatHearer()
        self._text: list[str] = []
        self._left = most
        self._room = MOST_ARGUMENTS
        self._names: list[str] = []
        self._arguments: list[list[str]] = []
        self._refused = False
        self._deaf = self._marks is None

    def feed(self, block: bytes) -> None:
        """Listen to whole events of a stream."""
        marks = self._marks
        if self._deaf or marks is None:
            return
        if b"refusal" in block:  # nearly never: much faster than to search for the rest
            self._refused = self._refused or _REFUSAL.search(block) is not None
        if self._left <= 0 and not any(mark in block for mark in marks.calls):
            return
        try:
            for data in _datas(block):
                if self._worth(data, marks):
                    self._take(self._said(data))
        except _WRONG_SHAPE:
            self._deaf = True

    def whole(self, body: bytes) -> None:
        """Listen to an answer in one piece."""
        if self._deaf:
            return
        self._refused = _REFUSAL.search(body) is not None
        try:
            self._take(_completion(body) if self._dialect == "openai_completions" else self._hearer.whole(body))
        except _WRONG_SHAPE:
            self._deaf = True

    def heard(self, finish: str) -> Heard:
        """Return what was said. Args: finish: why the answer ended, in the provider's word."""
        calls = tuple([Called(*pair) for pair in zip(self._names, map("".join, self._arguments), strict=True)])
        return Heard("".join(self._text), calls, self._refused or finish in _REFUSED, finish in _CUT, self._deaf)

    def _worth(self, data: bytes, marks: Marks) -> bool:
        if self._left > 0 and any(mark in data for mark in marks.text):
            return True
        if not any(mark in data for mark in marks.calls):
            return False
        return not any(piece in data for piece in _PIECES)

    def _said(self, data: bytes) -> Iterator[Event]:
        return _completion(data) if self._dialect == "openai_completions" else self._hearer.hear(data)

    def _take(self, events: Iterator[Event]) -> None:
        for event in events:
            if isinstance(event, Say):
                if self._left > 0:
                    self._text.append(event.text[: self._left])
                    self._left -= len(event.text)
            elif isinstance(event, CallBegin):
                if len(self._names) >= MOST_CALLS:
                    self._deaf = True
                    return
                self._names.append(event.name)
                self._arguments.append([])
            elif isinstance(event, CallMore):
                self._more(event)

    def _more(self, event: CallMore) -> None:
        self._room -= len(event.text)
        if self._room < 0 or event.at >= len(self._arguments):
            self._deaf = True
        else:
            self._arguments[event.at].append(event.text)


def _datas(block: bytes) -> Iterator[bytes]:
    """Return the data of each event; nearly all have one line of it."""
    if b"\r" in block:
        yield from (event.data for event in sse.events(block) if event.data)
        return
    for match in _DATA.finditer(block):
        yield match[1]


def _completion(data: bytes) -> Iterator[Event]:
    """Read a completion, whose text may be where that of a chat is."""
    if data.strip() == b"[DONE]":
        return
    choices = msgspec.json.decode(data).get("choices") or ()
    for choice in choices[:1]:
        said = choice.get("text") or (choice.get("delta") or choice.get("message") or {}).get("content")
        if isinstance(said, str) and said:
            yield Say(said)
