"""Where an agent run stands, read from its history: one call of a loop at a time, not once for a session.

Works on chat messages (`tool_calls`, role `tool`), on lists of parts (`tool_use`, `tool_result`) and on tool results
that a client writes as plain user text. Only the last WINDOW messages are opened, each only at its ends, so a long
run costs no more than a short one. The call is judged anew each time: a run that got back on its feet comes down.
What a single call or result says is remembered, since each call of a run sends all but the newest of them again.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from struct import Struct
from typing import Literal

import msgspec

from twospeed.policy.content import BLANK_BYTES, Parts, open_all
from twospeed.types import NULL, Conversation, Message

WINDOW = 24  # messages opened, newest last
RECENT = 3  # tool results in which a failure still counts
EDGE_BYTES = 320  # of a result: head and tail looked at
ARGUMENT_BYTES = 2_048  # of a tool call looked at
KEPT_BYTES = 1_024  # of a list of calls that is remembered
REMEMBERED = 2_048  # calls and results, each

Phase = Literal["none", "start", "exploring", "producing", "failing", "spinning", "finishing"]

_READ_NAME = re.compile(
    r"read|view|open|list|\bls\b|glob|grep|search|find|fetch|cat\b|tree|get_|outline|symbols", re.IGNORECASE
)
_EDIT_NAME = re.compile(r"edit|write|replace|patch|insert|create|apply|multi_?edit|delete|rename", re.IGNORECASE)
_LOOK = re.compile(
    rb'(?:"|&&|;|\||\\n|cd \S+)\s*(?:cat|ls|find|grep|rg|head|tail|sed -n|pwd|wc|tree|git (?:log|diff|status|show|grep|blame))\b'
)


class _Signs:
    """What a text may say: one of these words, or one of these patterns, each found by the word it begins with.

    Many times faster than one pattern of all of them, which is tried at every letter.
    """

    def __init__(self, words: tuple[str, ...], patterns: dict[str, str]) -> None:
        self._words = words
        self._patterns = [(word, re.compile(word + rest, re.ASCII)) for word, rest in patterns.items()]

    def stand_in(self, text: str) -> bool:
        """Say whether the text says any of it."""
        if any(map(text.__contains__, self._words)):
            return True
        return any(word in text and pattern.search(text) is not None for word, pattern in self._patterns)


_WRITES = _Signs(
    ("sed -i", "<<", ".write(", ".write_text(", "tee ", "patch ", "git apply", "mv ", "rm ", "mkdir ", "touch "),
    {">": r">? ?[\w./]+\.\w+"},
)
_RUNS = _Signs(
    (
        *("pytest", "unittest", "npm ", "cargo ", "go test", "go build", "go run", "python", "node ", "mvn", "gradle"),
        *("javac", "gcc", "tox"),
    ),
    {"test": r"(?<!\wtest)", "make": r"\b"},
)
_EXIT_CODE = r"[ _-]?(?:code|status)?\W{1,12}(?:with )?(?:code )?[1-9]"
_FAILURES = _Signs(
    (
        *("error:", "traceback (most recent", "command not found", "no such file", "not found in", "no match"),
        *("did not match", "assertion", "syntax error", "syntaxerror", "fatal:"),
    ),
    {
        "exit": r"(?:ed)?" + _EXIT_CODE,
        "return": _EXIT_CODE,
        "failed": r"\b(?<!\wfailed)",
        "panic": r"(?:ked)?[: ]",
        "is_error": r".{0,3}true",
    },
)


class Stage(msgspec.Struct, frozen=True):
    """Facts about a run at this call.

    `steps`: calls of tools that did more than read files without a word; `reads`, `edits`, `runs`: calls by what they
    did, in the window. `failures`: of the last RECENT results, how many report a failure, `failed_before`: of those
    before; `repeats`: calls made before with the same arguments since the user last spoke. `waiting`: the newest
    message is a tool result.
    """

    steps: int = 0
    reads: int = 0
    edits: int = 0
    runs: int = 0
    failures: int = 0
    failed_before: int = 0
    repeats: int = 0
    waiting: bool = False

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
_Act = tuple[str, str, bytes]  # what a call does, its name, the beginning of its arguments
_ACTED_NOT: tuple[tuple[_Act, ...], int] = ((), 0)


class _Call(msgspec.Struct, gc=False):
    name: str = ""
    arguments: msgspec.Raw = msgspec.Raw(b"")


class _ToolCall(msgspec.Struct, gc=False):
    function: _Call = msgspec.field(default_factory=_Call)


_CALLS = msgspec.json.Decoder(list[_ToolCall])
_edge = Struct(f"{EDGE_BYTES}s").unpack_from


def stage(conversation: Conversation, opened: Sequence[Parts] | None = None) -> Stage:
    """Read the stage of the run this request belongs to; all zero when no tool was called of late.

    Args:
        opened: The parts of each message, where they are known already.
    """
    messages = conversation.messages
    newest = messages[-WINDOW:]
    parted = open_all(newest) if opened is None else opened[-WINDOW:]
    if len(messages) < 2 or not (_calls(newest) or (any(parted) and any(m.role == "assistant" for m in messages))):
        return _NOWHERE
    acts: list[_Act] = []
    failed: list[bool] = []
    reads = quiet = asked = 0
    reading = waiting = False
    for message, parts in zip(newest, parted, strict=True):
        if message.role == "tool":
            failed.append(not reading and _fails(message.content))
            waiting = True
        elif message.role == "assistant":
            called, looked = _acts(message, parts)
            acts += called
            waiting, reading = False, 0 < len(called) == looked
            if looked:
                reads += looked
                quiet += looked if _silent(message, parts) else 0
        elif message.role == "user":
            results = [part for part in parts if part.type == "tool_result"] if parts else ()
            failed += [bool(part.is_error) or (not reading and _fails(part.content)) for part in results]
            waiting = bool(results)
            asked = asked if waiting else len(acts)  # what was done for the last request may be done again for this one
    edits, recent = [act[0] for act in acts].count("edits"), sum(failed[-RECENT:])
    repeats = len(acts) - asked - len(set(acts[asked:]))
    runs = len(acts) - reads - edits
    return Stage(len(acts) - quiet, reads, edits, runs, recent, sum(failed) - recent, repeats, waiting)


def _calls(messages: Sequence[Message]) -> bool:
    return any(message.tool_calls is not NULL or message.role == "tool" for message in messages)


def _silent(message: Message, parts: Parts) -> bool:
    if parts is None:
        return len(message.content) <= BLANK_BYTES
    return not any(part.type == "text" and len(part.text) > BLANK_BYTES for part in parts)


def _acts(message: Message, parts: Parts) -> tuple[tuple[_Act, ...], int]:
    """Return what an assistant message calls, and how many of these calls read."""
    calls, listed = message.tool_calls, _ACTED_NOT
    if calls is not NULL:
        read = _read_calls if len(calls) <= KEPT_BYTES else _read_calls.__wrapped__
        listed = read(bytes(calls))
    if not parts:
        return listed
    return _counted([*(_act(part.name or "", part.input) for part in parts if part.type == "tool_use"), *listed[0]])


@lru_cache(REMEMBERED)
def _read_calls(tool_calls: bytes) -> tuple[tuple[_Act, ...], int]:
    """Return the calls of a `tool_calls` list; none of anything else."""
    try:
        return _counted([_act(call.function.name, call.function.arguments) for call in _CALLS.decode(tool_calls)])
    except msgspec.DecodeError:
        return _ACTED_NOT


def _counted(acts: list[_Act]) -> tuple[tuple[_Act, ...], int]:
    return tuple(acts), sum(act[0] == "reads" for act in acts)


def _act(name: str, arguments: msgspec.Raw) -> _Act:
    beginning = bytes(memoryview(arguments)[:ARGUMENT_BYTES])
    return _kind(name, beginning), name, beginning


def _fails(content: msgspec.Raw) -> bool:
    """Say whether a result reports a failure at its head or, where that is not all of it, at its tail."""
    size = len(content)
    if size <= EDGE_BYTES:
        return _reports_failure(bytes(content), b"")
    return _reports_failure(*_edge(content), *_edge(content, size - EDGE_BYTES))


@lru_cache(REMEMBERED)
def _reports_failure(head: bytes, tail: bytes) -> bool:
    # Bytes as text, one letter each: in text, words are found twice as fast.
    return any(_FAILURES.stand_in(end.decode("latin-1").lower()) for end in (head, tail))


@lru_cache(REMEMBERED)
def _kind(name: str, arguments: bytes) -> str:
    """Say what a call does: by the name of the tool, and for a shell by its command."""
    kind = _kind_by_name(name)
    if kind:
        return kind
    text = arguments.decode("latin-1")
    if _WRITES.stand_in(text):
        return "edits"
    if _RUNS.stand_in(text):
        return "runs"
    return "reads" if _LOOK.search(arguments) else "runs"


@lru_cache(REMEMBERED)
def _kind_by_name(name: str) -> str:
    if _EDIT_NAME.search(name):
        return "edits"
    return "reads" if _READ_NAME.search(name) else ""
