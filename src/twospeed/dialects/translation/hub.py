"""Hub: what any dialect says, in neutral words, so that N dialects need N translations and not N times N.

    client's body -> Ask -> provider's body          provider's answer -> events -> client's answer

`*_read` and `*_say` face the client, `*_write` and `*_hear` face the provider. Reasoning that a provider signed travels
as a sealed block (see `seals`) and is never read or made up here.
"""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from twospeed.types import Usage

Role = Literal["system", "user", "assistant", "tool"]
Finish = Literal["stop", "length", "tool_calls", "content_filter", "stop_sequence", "refusal", "pause"]
BRIDGED = "input"  # the one argument of the function that stands in for a tool of free text
_MOST_DROPPED = 32  # named for one request
LONGEST_NAME = 64  # characters of a function's name that every provider takes


class Text(msgspec.Struct):
    """Words."""

    text: str


class Image(msgspec.Struct):
    """A picture: `url` is http(s) or data:. `detail`: low, high or ""."""

    url: str
    detail: str = ""


class File(msgspec.Struct):
    """A document: `url` is http(s) or data:."""

    url: str
    name: str = ""


class Thought(msgspec.Struct):
    """Reasoning shown to the client; `seal` is where a provider's own block was kept, "" when nothing was."""

    text: str
    seal: str = ""


class Call(msgspec.Struct):
    """A tool call; `arguments` is JSON text, or plain text when it is `free`."""

    id: str
    name: str
    arguments: str
    free: bool = False
    space: str = ""


class Result(msgspec.Struct):
    """What a tool answered."""

    id: str
    parts: list["Text | Image | File"]
    failed: bool = False


Part = Text | Image | File | Thought | Call | Result


class Turn(msgspec.Struct):
    """One contribution to the conversation."""

    role: Role
    parts: list[Part]


class Tool(msgspec.Struct):
    """A tool on offer. `schema`: JSON Schema of its arguments. `free`: takes plain text instead. `space`: its namespace."""

    name: str
    description: str = ""
    schema: Any = None
    strict: bool | None = None
    free: bool = False
    space: str = ""

    @property
    def wire(self) -> str:
        """The name by which a provider without namespaces knows it."""
        return wire_name(self.space, self.name)


class Choice(msgspec.Struct):
    """How tools may be chosen: auto, none, required, or one by its `name`."""

    mode: str = "auto"
    name: str = ""
    space: str = ""


class Form(msgspec.Struct):
    """A JSON answer; `schema` None means any object."""

    schema: Any = None
    name: str = "answer"
    strict: bool | None = None


class Ask(msgspec.Struct):
    """One request. `effort`: as the client named it, "" when it asked for none. `dropped`: what cannot be carried over."""

    turns: list[Turn]
    tools: list[Tool] = msgspec.field(default_factory=list)
    choice: Choice | None = None
    parallel: bool | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: list[str] = msgspec.field(default_factory=list)
    form: Form | None = None
    effort: str = ""
    user: str = ""
    cache_key: str = ""
    stream: bool = False
    dropped: list[str] = msgspec.field(default_factory=list)

    def drop(self, what: str) -> None:
        """Note what cannot be carried over, once."""
        shown = "".join(mark if mark.isascii() and mark.isprintable() else "?" for mark in what[:80])
        if shown not in self.dropped and len(self.dropped) < _MOST_DROPPED:
            self.dropped.append(shown)

    def tool(self, wire: str) -> Tool | None:
        """Return the offered tool that a provider knows by this name."""
        return next((tool for tool in self.tools if tool.wire == wire), None)


class Begin(NamedTuple):
    """The answer begins. `id`: the provider's, "" for none."""

    id: str
    model: str = ""


class Say(NamedTuple):
    """A piece of text."""

    text: str


class Think(NamedTuple):
    """A piece of reasoning that may be shown."""

    text: str


class Keep(NamedTuple):
    """A thought is over; `block` is what its provider wants back byte for byte, b"" for nothing."""

    block: bytes


class CallBegin(NamedTuple):
    """A tool call begins; `at` numbers calls from 0."""

    at: int
    id: str
    name: str


class CallMore(NamedTuple):
    """A piece of a call's arguments, JSON text."""

    at: int
    text: str


class CallEnd(NamedTuple):
    """A tool call is whole; made by `Sequencer`, which also sees to it that calls come one after the other."""

    at: int


class End(NamedTuple):
    """The answer is whole. `stop`: the stop sequence that ended it, if one did."""

    finish: Finish
    usage: Usage | None
    stop: str | None = None


class Drop(NamedTuple):
    """Something in the answer that no other dialect can say."""

    what: str


Event = Begin | Say | Think | Keep | CallBegin | CallMore | CallEnd | Drop


class Head(NamedTuple):
    """What an answer calls itself to the client. `created`: seconds since the epoch."""

    id: str
    model: str
    created: int


def wire_name(space: str, name: str) -> str:
    """Return a namespace and a name as one function name.

    >>> wire_name("", "ls"), wire_name("mcp", "ls")
    ('ls', 'mcp__ls')
    """
    if not space:
        return name
    whole = f"{space}__{name}"
    return whole if len(whole) <= LONGEST_NAME else whole[: LONGEST_NAME - 9] + f"_{_hashed(whole):08x}"


def _hashed(text: str) -> int:
    number = 0x811C9DC5  # FNV-1a: the same in every process, unlike hash()
    for byte in text.encode():
        number = (number ^ byte) * 0x01000193 & 0xFFFFFFFF
    return number


def joined(parts: Sequence[Part]) -> str:
    """Return the words among parts."""
    return "\n".join(part.text for part in parts if isinstance(part, Text) and part.text)
