"""What the simulated provider says and when: neutral scripts, spoken in the voice of one wire API.

    body -> Ask -> Script -> Events -> Answer, timed and with its fault

Nothing here knows a clock or a network: an `Answer` is a plan in seconds after the request, which is played in process
by `upstream/simulated.py` and over a socket by `edge/simulator.py`. The same name, seed and request number give the
same answer. A further API is one more `Voice` (`chat.py` is the pattern) and one row of `performer.VOICES`.
"""

from collections.abc import Iterator, Sequence
from enum import Enum, auto
from typing import Literal, NamedTuple, Protocol

import msgspec

from twospeed.types import NULL

Finish = Literal["stop", "length", "tool_calls"]


class Tool(NamedTuple):
    """One function the request offers; `schema` is the JSON Schema of its arguments, as JSON text."""

    name: str
    schema: msgspec.Raw


class Ask(msgspec.Struct):
    """A request, as far as the script needs it, the same for every API.

    `instructions`: system text and the first user message. `prompt`: text of the last user message, or of a
    completion. `rounds`: tool rounds since the user last spoke; above 0 it is time to answer. `turns`: answers given
    before in this conversation. `choice`: "auto", "none", "required", or the name of a tool. `schema`: JSON Schema
    that the answer must fit, NULL when it is free text. `input_bytes`: size of all text that a model would read.
    """

    path: str
    model: str = ""
    stream: bool = False
    wants_usage: bool = False
    instructions: str = ""
    prompt: str = ""
    suffix: str = ""
    fill: bool = False
    rounds: int = 0
    turns: int = 0
    tools: Sequence[Tool] = ()
    choice: str = "auto"
    schema: msgspec.Raw = NULL
    max_tokens: int | None = None
    stop: Sequence[str] = ()
    input_bytes: int = 0


class Call(NamedTuple):
    """One tool call; `arguments` in pieces of JSON text, one token each."""

    id: str
    name: str
    arguments: Sequence[str]


class Script(msgspec.Struct):
    """What is said in one answer: reasoning, text and tool calls in this order, in pieces of one token each."""

    text: Sequence[str] = ()
    calls: Sequence[Call] = ()
    reasoning: Sequence[str] = ()
    finish: Finish = "stop"
    input_tokens: int = 0
    cached_tokens: int = 0

    @property
    def output_tokens(self) -> int:
        """Tokens said, reasoning included; a call costs one more for its name."""
        return len(self.text) + len(self.reasoning) + sum(1 + len(call.arguments) for call in self.calls)


class Part(Enum):
    """Where in a stream an event stands: before content, content, the finish (and usage), or the very last line."""

    OPEN = auto()
    CONTENT = auto()
    FINISH = auto()
    DONE = auto()


class Event(NamedTuple):
    """One whole event of a stream; `tokens` is how long it took to think of it."""

    part: Part
    data: bytes
    tokens: int = 0


class Origin(NamedTuple):
    """Which answer this is: `id` is unique per request, `created` is seconds since the epoch."""

    id: str
    created: int


class Voice(Protocol):
    """How a script is said on one wire API."""

    def read(self, path: str, body: bytes) -> Ask:
        """Read a request. Raises: msgspec.MsgspecError or ValueError when a provider would answer 400."""

    def stream(self, ask: Ask, script: Script, origin: Origin, batch: int) -> Iterator[Event]:
        """Say it in events of at most `batch` tokens each, made as they are taken."""

    def whole(self, ask: Ask, script: Script, origin: Origin) -> bytes:
        """Say it in one JSON body."""

    def error(self, status: int, message: str) -> bytes:
        """Return the body of an error answer."""

    def error_event(self, message: str) -> bytes:
        """Return the event that says an error in the middle of a stream."""


def batches(pieces: Sequence[str], size: int) -> Iterator[tuple[str, int]]:
    """Join pieces `size` at a time, each with its number of tokens.

    >>> list(batches(["a", "b", "c"], 2))
    [('ab', 2), ('c', 1)]
    """
    if size == 1:
        yield from ((piece, 1) for piece in pieces)
        return
    for at in range(0, len(pieces), size):
        group = pieces[at : at + size]
        yield "".join(group), len(group)
