"""Where an agent run stands, read from its history: one call of a loop at a time, not once for a session.

Works on chat messages (`tool_calls`, role `tool`), on lists of parts (`tool_use`, `tool_result`) and on tool results
that a client writes as plain user text. Only the last WINDOW messages are opened, each only at its ends, so a long
run costs no more than a short one. The call is judged anew each time: a run that got back on its feet comes down.
"""

import re
from collections.abc import Sequence
from typing import Literal

import msgspec

from twospeed.policy.content import Part, parts_of
from twospeed.types import Conversation, Message

WINDOW = 24  # messages opened, newest last
RECENT = 3  # tool results in which a failure still counts
EDGE_BYTES = 320  # of a result: head and tail looked at
ARGUMENT_BYTES = 2_048  # of a tool call looked at

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
    rb"traceback \(most recent|(?:exit(?:ed)?|return)[ _-]?(?:code|status)?\W{1,12}(?:with )?(?:code )?[1-9]|\b\w*error:|\bfailed\b"
    rb"|command not found|no such file|not found in|no match|did not match|panic(?:ked)?[: ]|assertion|syntax ?error|is_error.{0,3}true|fatal:",
)


class Stage(msgspec.Struct, frozen=True):
    """Facts about a run at this call.

    `steps`: calls of tools that did more than read files without a word; `reads`, `edits`, `runs`: calls by what they
    did, in the window. `failures`: of the last RECENT results, how many report a failure; `repeats`: calls in the
    window made before with the same arguments, or edits of one file beyond the second. `since`: assistant turns since
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


class _Call(msgspec.Struct, gc=False):
    name: str = ""
    arguments: msgspec.Raw = msgspec.Raw(b"")


class _ToolCall(msgspec.Struct, gc=False):
    function: _Call = msgspec.field(default_factory=_Call)


_CALLS = msgspec.json.Decoder(list[_ToolCall])


def stage(conversation: Conversation) -> Stage:
    """Read the stage of the run this request belongs to; all zero when no tool was ever called."""
    messages = conversation.messages
    if len(messages) < 2 or not _has_run(messages):
        return Stage()
    tally = _Tally()
    for message in messages[-WINDOW:]:
        tally.add(message)
    return tally.stage(_since(messages))


def _has_run(messages: Sequence[Message]) -> bool:
    return any(m.role == "assistant" or m.role == "tool" for m in messages)


def _since(messages: Sequence[Message]) -> int:
    count = 0
    for message in reversed(messages):
        if message.role == "assistant":
            count += 1
        elif message.role == "user" and not _only_results(message):
            break
    return count


def _only_results(message: Message) -> bool:
    parts = parts_of(message.content)
    return bool(parts) and all(p.type == "tool_result" for p in parts or ())


class _Tally:
    """Counts of one pass over the newest messages."""

    def __init__(self) -> None:
        self.counts = {"steps": 0, "reads": 0, "edits": 0, "runs": 0, "repeats": 0, "said": 0}
        self.failed: list[bool] = []
        self.seen: dict[bytes, int] = {}
        self.reading = False
        self.waiting = False

    def add(self, message: Message) -> None:
        if message.role == "assistant":
            self._assistant(message)
            self.waiting = False
        elif message.role == "tool":
            self._result(message.content, False)
            self.waiting = True
        elif message.role == "user":
            parts = parts_of(message.content) or ()
            results = [p for p in parts if p.type == "tool_result"]
            for part in results:
                self._result(part.content, bool(part.is_error))
            self.waiting = bool(results)

    def _assistant(self, message: Message) -> None:
        parts = parts_of(message.content)
        calls = [(p.name or "", bytes(p.input)) for p in parts or () if p.type == "tool_use"]
        if bytes(memoryview(message.tool_calls)[:1]) == b"[":
            calls += _calls(message.tool_calls)
        silent = _silent(message, parts)
        self.reading = bool(calls)
        for name, arguments in calls:
            self._call(name, arguments[:ARGUMENT_BYTES], silent)

    def _call(self, name: str, arguments: bytes, silent: bool) -> None:
        counts = self.counts
        kind = _kind(name, arguments)
        counts[kind] += 1
        if not (silent and kind == "reads"):
            counts["steps"] += 1
        self.reading = self.reading and kind == "reads"
        key = name.encode() + arguments
        self.seen[key] = self.seen.get(key, 0) + 1
        if self.seen[key] > 1:
            counts["repeats"] += 1
        counts["said"] += not silent

    def _result(self, content: msgspec.Raw, is_error: bool) -> None:
        view = memoryview(content)
        head, tail = bytes(view[:EDGE_BYTES]).lower(), bytes(view[-EDGE_BYTES:]).lower()
        failed = is_error or (
            not self.reading and bool(_FAILED.search(head) or (len(view) > EDGE_BYTES and _FAILED.search(tail)))
        )
        self.failed.append(failed)

    def stage(self, since: int) -> Stage:
        recent = self.failed[-RECENT:]
        return Stage(
            **self.counts,
            failures=sum(recent),
            failed_before=sum(self.failed) - sum(recent),
            since=since,
            waiting=self.waiting,
        )


def _silent(message: Message, parts: list[Part] | None) -> bool:
    if parts is None:
        return len(memoryview(message.content)) <= 4
    return not any(p.type == "text" and len(memoryview(p.text)) > 4 for p in parts)


def _calls(raw: msgspec.Raw) -> list[tuple[str, bytes]]:
    try:
        return [(c.function.name, bytes(c.function.arguments)) for c in _CALLS.decode(raw)]
    except msgspec.ValidationError:
        return []


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
