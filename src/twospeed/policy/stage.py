"""Where an agent run stands, read from its history: one call of a loop at a time, not once for a session.

Works on chat messages (`tool_calls`, role `tool`), on lists of parts (`tool_use`, `tool_result`) and on tool results
that a client writes as plain user text. Only the last WINDOW messages are opened, each only at its ends, so a long
run costs no more than a short one. The call is judged anew each time: a run that got back on its feet comes down.
What a single call or result says is remembered, since each call of a run sends all but the newest of them again.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import msgspec

from twospeed.policy.content import Parts, is_list, open_all
from twospeed.types import Conversation, Message

WINDOW = 24  # messages opened, newest last
RECENT = 3  # tool results in which a failure still counts
EDGE_BYTES = 320  # of a result: head and tail looked at
ARGUMENT_BYTES = 2_048  # of a tool call looked at
REMEMBERED = 2_048  # calls and results, each

Phase = Literal["none", "start", "exploring", "producing", "failing", "spinning", "finishing"]

_READ_NAME = re.compile(
    r"read|view|open|list|\bls\b|glob|grep|search|find|fetch|cat\b|tree|get_|outline|symbols", re.IGNORECASE
)
_EDIT_NAME = re.compile(r"edit|write|replace|patch|insert|create|apply|multi_?edit|delete|rename", re.IGNORECASE)
_LOOK = re.compile(
    rb'(?:"|&&|;|\||\\n|cd \S+)\s*(?:cat|ls|find|grep|rg|head|tail|sed -n|pwd|wc|tree|git (?:log|diff|status|show|grep|blame))\b'
)
_WRITE = re.compile(rb"sed -i|<<|>>? ?[\w./]+\.\w+|\.write(?:_text)?\(|tee |patch |git apply|mv |rm |mkdir |touch ")
_RUN = re.compile(
    rb"pytest|unittest|\btest|npm |cargo |go (?:test|build|run)|make\b|python|node |mvn|gradle|javac|gcc|tox"
)
_FAILED = re.compile(
    rb"traceback \(most recent|(?:exit(?:ed)?|return)[ _-]?(?:code|status)?\W{1,12}(?:with )?(?:code )?[1-9]|error:|failed\b(?<!\wfailed)"
    rb"|command not found|no such file|not found in|no match|did not match|panic(?:ked)?[: ]|assertion|syntax ?error|is_error.{0,3}true|fatal:",
)


class Stage(msgspec.Struct, frozen=True):
    """Facts about a run at this call.

    `steps`: calls of tools that did more than read files without a word; `reads`, `edits`, `runs`: calls by what they
    did, in the window. `failures`: of the last RECENT results, how many report a failure; `repeats`: calls made
    before with the same arguments since the user last spoke. `since`: assistant turns since
    the user last spoke. `waiting`: the newest message is a tool result.
    """

    steps: int = 0
    reads: int = 0
    edits: int = 0
    runs: int = 0
    failures: int = 0
    failed_before: int = 0
    repeats: int = 0
    since: int = 0
    waiting: bool = False
    said: int = 0

    @property
    def phase(self) -> Phase:
        """Name the stage, worst first."""
        if not self.waiting or not (self.steps or self.reads):
            return "none"
        if self.repeats >= 2:
            return "spinning"
        if self.failures >= 2:
            return "failing"
        if self.edits:
            return "producing"
        return "exploring" if self.steps + self.reads > 1 else "start"


_NOWHERE = Stage()


class _Call(msgspec.Struct, gc=False):
    name: str = ""
    arguments: msgspec.Raw = msgspec.Raw(b"")


class _ToolCall(msgspec.Struct, gc=False):
    function: _Call = msgspec.field(default_factory=_Call)


_CALLS = msgspec.json.Decoder(list[_ToolCall])


def stage(conversation: Conversation, opened: Sequence[Parts] | None = None) -> Stage:
    """Read the stage of the run this request belongs to; all zero when no tool was ever called.

    Args:
        opened: The parts of each message, where they are known already.
    """
    messages = conversation.messages
    if len(messages) < 2 or not _has_run(messages):
        return _NOWHERE
    opened = open_all(messages) if opened is None else opened
    tally = _Tally()
    for message, parts in zip(messages[-WINDOW:], opened[-WINDOW:], strict=True):
        tally.add(message, parts)
    return tally.stage(_since(messages, opened))


def _has_run(messages: Sequence[Message]) -> bool:
    return any(m.role == "assistant" or m.role == "tool" for m in messages)


def _since(messages: Sequence[Message], opened: Sequence[Parts]) -> int:
    count = 0
    for message, parts in zip(reversed(messages), reversed(opened), strict=True):
        if message.role == "assistant":
            count += 1
        elif message.role == "user" and not (parts and all(p.type == "tool_result" for p in parts)):
            break
    return count


class _Tally:
    """Counts of one pass over the newest messages."""

    def __init__(self) -> None:
        self.counts = {"steps": 0, "reads": 0, "edits": 0, "runs": 0, "repeats": 0, "said": 0}
        self.failed: list[bool] = []
        self.seen: set[tuple[str, bytes]] = set()
        self.reading = False
        self.waiting = False

    def add(self, message: Message, parts: Parts) -> None:
        if message.role == "assistant":
            self._assistant(message, parts)
            self.waiting = False
        elif message.role == "tool":
            self._result(message.content, False)
            self.waiting = True
        elif message.role == "user":
            results = [p for p in parts or () if p.type == "tool_result"]
            for part in results:
                self._result(part.content, bool(part.is_error))
            self.waiting = bool(results)
            if not results:  # asked anew: what was done for the last request may be done again for this one
                self.seen.clear()
                self.counts["repeats"] = 0

    def _assistant(self, message: Message, parts: Parts) -> None:
        calls = _calls_of(message.tool_calls)
        if parts:
            calls = [(p.name or "", _beginning(p.input)) for p in parts if p.type == "tool_use"] + calls
        silent = _silent(message, parts)
        self.reading = bool(calls)
        for call in calls:
            self._call(call, silent)

    def _call(self, call: tuple[str, bytes], silent: bool) -> None:
        counts = self.counts
        kind = _kind(*call)
        counts[kind] += 1
        if kind != "reads":
            self.reading = False
        if not silent:
            counts["said"] += 1
        if not silent or kind != "reads":
            counts["steps"] += 1
        if call in self.seen:
            counts["repeats"] += 1
        self.seen.add(call)

    def _result(self, content: msgspec.Raw, is_error: bool) -> None:
        self.failed.append(is_error or (not self.reading and _reports_failure(*_edges(content))))

    def stage(self, since: int) -> Stage:
        recent = self.failed[-RECENT:]
        return Stage(
            **self.counts,
            failures=sum(recent),
            failed_before=sum(self.failed) - sum(recent),
            since=since,
            waiting=self.waiting,
        )


def _silent(message: Message, parts: Parts) -> bool:
    if parts is None:
        return len(memoryview(message.content)) <= 4
    return not any(p.type == "text" and len(memoryview(p.text)) > 4 for p in parts)


def _calls_of(tool_calls: msgspec.Raw) -> list[tuple[str, bytes]]:
    """Return name and beginning of the arguments of each call in a `tool_calls` list."""
    if not is_list(tool_calls):
        return []
    try:
        return [(c.function.name, _beginning(c.function.arguments)) for c in _CALLS.decode(tool_calls)]
    except msgspec.ValidationError:
        return []


def _beginning(arguments: msgspec.Raw) -> bytes:
    return bytes(memoryview(arguments)[:ARGUMENT_BYTES])


def _edges(content: msgspec.Raw) -> tuple[bytes, bytes]:
    """Return head and tail of a result; no tail where the head is all."""
    view = memoryview(content)
    return bytes(view[:EDGE_BYTES]), bytes(view[-EDGE_BYTES:]) if len(view) > EDGE_BYTES else b""


@lru_cache(REMEMBERED)
def _reports_failure(head: bytes, tail: bytes) -> bool:
    return _FAILED.search(head.lower()) is not None or _FAILED.search(tail.lower()) is not None


@lru_cache(REMEMBERED)
def _kind(name: str, arguments: bytes) -> str:
    """Say what a call does: by the name of the tool, and for a shell by its command."""
    if _EDIT_NAME.search(name):
        return "edits"
    if _READ_NAME.search(name):
        return "reads"
    if _WRITE.search(arguments):
        return "edits"
    if _RUN.search(arguments):
        return "runs"
    return "reads" if _LOOK.search(arguments) else "runs"
