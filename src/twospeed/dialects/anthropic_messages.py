"""Anthropic Messages: `POST /v1/messages`, streamed and plain.

The body passes byte for byte, `model` excepted: signatures over thinking blocks hold. Only thinking blocks that a
translation put there (see `seals`) are taken out, since Anthropic signed none of them.
Source: Anthropic API reference, "Messages"; what real clients send is in the golden files.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Generic, TypeVar, cast

import msgspec

from twospeed.dialects import (
    Answer,
    Dialect,
    Reader,
    Refusal,
    anthropic_errors,
    anthropic_stream,
    depth,
    identity,
    seals,
)
from twospeed.dialects.again import Again
from twospeed.dialects.anthropic_stream import MessagesReader
from twospeed.dialects.body import (
    check_utf8,
    checked,
    encode_name,
    lenient,
    model_name,
    read,
    splice,
)
from twospeed.dialects.recall import Read, Recall
from twospeed.dialects.wishes import stripped, wishes
from twospeed.errors import Fault
from twospeed.types import NULL, Conversation, Declared, Message, Request

M = TypeVar("M")
Limit = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)] | None
_INSIDE = depth.LIMIT - 1
_BILLING = b"x-anthropic-billing-header"
_HEAD_BYTES = 400  # of the system text, in which the billing line stands
_THINKS_HARD = 16_000  # tokens of thinking budget


class View(msgspec.Struct, Generic[M], gc=False):
    """What is read of a request body."""

    model: msgspec.Raw
    messages: M
    max_tokens: Limit = None
    system: msgspec.Raw = NULL
    stream: bool | None = None
    tools: msgspec.Raw = NULL
    thinking: msgspec.Raw = NULL
    output_config: msgspec.Raw = NULL
    output_format: msgspec.Raw = NULL
    metadata: msgspec.Raw = NULL
    models: msgspec.Raw = NULL
    provider: msgspec.Raw = NULL


class Turn(Message, forbid_unknown_fields=True, gc=False):
    """A turn with nothing in it but fields whose depth is known: only `content` and `tool_calls` can nest."""


class Named(msgspec.Struct, gc=False):
    """An offered tool."""

    name: str = ""


class Thinking(msgspec.Struct, gc=False):
    """`thinking`."""

    type: str = ""
    budget_tokens: int | None = None


class Output(msgspec.Struct, gc=False):
    """`output_config`."""

    effort: str | None = None
    format: msgspec.Raw = NULL


_plain = cast(
    msgspec.json.Decoder[View[list[Message]]],
    msgspec.json.Decoder(View[Annotated[list[Turn], msgspec.Meta(min_length=1)]]),
)
_view = msgspec.json.Decoder(View[msgspec.Raw])
_turns = msgspec.json.Decoder(Annotated[list[Message], msgspec.Meta(min_length=1)])
_tools: msgspec.json.Decoder[list[Named] | None] = msgspec.json.Decoder(list[Named] | None)
_thinking: msgspec.json.Decoder[Thinking | None] = msgspec.json.Decoder(Thinking | None)
_output: msgspec.json.Decoder[Output | None] = msgspec.json.Decoder(Output | None)
_list = msgspec.json.Decoder(list[msgspec.Raw])


class Parsed(msgspec.Struct):
    """The view and its turns."""

    view: View[Any]
    turns: Sequence[Message]


class AnthropicMessages:
    """The Messages dialect; see `dialects.Dialect`."""

    name = "anthropic_messages"
    paths: tuple[str, ...] = ("/messages",)
    upstream_path = "/messages"
    operation = "chat"
    keep_alive = b'event: ping\ndata: {"type": "ping"}\n\n'
    served_by: tuple[str, ...] = ("anthropic_messages", "openai_responses", "openai_chat")

    def decode(self, body: bytes, endpoint: str) -> Request:
        """Read a request body. Raises: Fault BAD_REQUEST."""
        view, turns, model, at = _recall.read(body)
        return Request(
            self.name,
            endpoint,
            body,
            model,
            at,
            Parsed(view, turns),
            view.stream is True,
            True,
            view.max_tokens,
            wishes=wishes(view.models, view.provider),
        )

    def declared(self, request: Request) -> Declared | None:
        """Return the session id that the body carries."""
        return identity.declared(NULL, parsed(request).view.metadata)

    def opening(self, request: Request) -> Sequence[bytes]:
        """Return the system text and the first user message."""
        system = _system(parsed(request).view.system)
        begin = [bytes(system)] if system != NULL else []
        return [*begin, *identity.opening(parsed(request).turns)]

    def conversation(self, request: Request) -> Conversation:
        """Return what classification may look at."""
        view = parsed(request).view
        output = lenient(_output, view.output_config)
        return Conversation(
            endpoint=request.endpoint,
            messages=parsed(request).turns,
            tools=[*_named(view.tools)],
            system=_system(view.system),
            effort=_effort(output, lenient(_thinking, view.thinking)),
            wants_schema=view.output_format != NULL or (output is not None and output.format != NULL),
            max_tokens=request.max_tokens,
            stream=request.stream,
            body_bytes=len(request.body),
        )

    def encode(self, request: Request, model: str, account: bool) -> bytes:
        """Return the body with `model` replaced, without thinking that a translation sealed."""
        body = splice(request.body, request.model_at, encode_name(model))
        if request.wishes is not None:
            body = stripped(body)
        said = [bytes(turn.content) for turn in parsed(request).turns if turn.role == "assistant"]
        return seals.without_sealed_thinking(body) if any(map(seals.sealed, said)) else body

    def reader(self, request: Request) -> Reader:
        """Return a fresh reader for the streamed answer."""
        return MessagesReader()

    def answer(self, body: bytes) -> Answer:
        """Read an unstreamed answer. Raises: Fault BAD_ANSWER, ERROR_EVENT."""
        return anthropic_stream.answer(body)

    def refuse(self, fault: Fault, request_id: str = "") -> Refusal:
        """Say the fault as a whole answer."""
        return anthropic_errors.refuse(fault, request_id)

    def interrupt(self, fault: Fault, request_id: str = "") -> bytes:
        """Say the fault as the event that ends a stream already begun."""
        return anthropic_errors.interrupt(fault, request_id)


DIALECT: Dialect = AnthropicMessages()


def parsed(request: Request) -> Parsed:
    """Return the dialect's own view of a request."""
    assert isinstance(request.parsed, Parsed)
    return request.parsed


def _read(body: bytes) -> Read[View[Any], Message]:
    check_utf8(body)
    try:
        view = _plain.decode(body)
    except (msgspec.DecodeError, RecursionError):  # unusual or wrong: the second look tells which
        return _read_unusual(body)
    model, turns = model_name(view.model), view.messages
    said = [turn.content for turn in turns]
    said += [turn.tool_calls for turn in turns if turn.tool_calls is not NULL]
    return (
        view,
        turns,
        model,
        checked(body, view.model, view.tools, view.system, said, _INSIDE - 2, (turns[0].content, turns[-1].content)),
    )


def _read_unusual(body: bytes) -> Read[View[Any], Message]:
    view = read(_view, body)
    model, said = model_name(view.model), view.messages
    turns = read(_turns, said, "messages")
    return view, turns, model, checked(body, view.model, view.tools, view.system, [said], _INSIDE, (said, said))


_recall = Recall(_read, ("system", "tools"))


def _system(system: msgspec.Raw) -> msgspec.Raw:
    """Return the system text without the line of Claude Code that differs from call to call."""
    if memoryview(system)[0] != 0x5B or _BILLING not in bytes(memoryview(system)[:_HEAD_BYTES]):
        return system
    blocks: list[Any] = _list.decode(system)
    kept = [bytes(block) for block in blocks if _BILLING not in bytes(block)[:_HEAD_BYTES]]
    return msgspec.Raw(b"[" + b",".join(kept) + b"]")


def _names(tools: msgspec.Raw) -> tuple[str, ...]:
    return tuple(tool.name for tool in lenient(_tools, tools) or ())


_named = Again(_names)
_UNASKED = "high"


def _effort(output: Output | None, thinking: Thinking | None) -> str:
    """Return the effort asked for by name, or what a budget of thinking amounts to; adaptive thinking asks nothing.

    "high" is what this API does unasked, and what Claude Code sends with every call: no wish either. Source: Anthropic
    documentation, "Effort".
    """
    if output and output.effort:
        named = output.effort.lower()
        return "" if named == _UNASKED else named
    if thinking is None or thinking.type != "enabled":
        return ""
    return "high" if (thinking.budget_tokens or 0) >= _THINKS_HARD else "medium"
