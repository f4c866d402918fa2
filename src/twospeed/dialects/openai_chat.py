"""OpenAI chat completions: `POST /v1/chat/completions`.

Source: OpenAI API reference, "Chat"; what real clients send is in the golden files. Unknown fields, roles and part
types are an open set: they are neither read nor refused. The body passes byte for byte, `model` and, where
accounting needs it, `stream_options` excepted.
"""

from collections.abc import Sequence
from typing import Annotated, Generic, TypeVar, cast

import msgspec

from twospeed.dialects import Answer, Dialect, Reader, Refusal, depth, identity, openai_answer, openai_errors
from twospeed.dialects.again import Again
from twospeed.dialects.body import (
    Span,
    bad,
    check_utf8,
    encode_name,
    model_at,
    model_name,
    placed,
    read,
    splice,
    too_deep,
)
from twospeed.dialects.openai_stream import StreamReader
from twospeed.dialects.recall import Read, Recall
from twospeed.dialects.stream_options import StreamOptions, asking
from twospeed.dialects.wishes import stripped, wishes
from twospeed.errors import Fault
from twospeed.types import NULL, Conversation, Declared, Message, Request

M = TypeVar("M")
T = TypeVar("T")
_SCHEMAS = frozenset({"json_schema", "json_object"})
_INSIDE = depth.LIMIT - 3  # levels left for a member of a message

Scalar = str | int | float | bool | None
Limit = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)] | None


class Turn(Message, forbid_unknown_fields=True, gc=False):
    """A message with nothing in it but fields whose depth is known: only `content` and `tool_calls` can nest.

    A conversation that does not fit is decoded as plain messages instead, and all their members are looked into.
    """

    refusal: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    reasoning_details: list[dict[str, Scalar]] | None = None
    function_call: dict[str, str] | None = None
    audio: dict[str, Scalar] | None = None
    annotations: list[dict[str, Scalar]] | None = None
    cache_control: dict[str, Scalar] | None = None
    copilot_cache_control: dict[str, Scalar] | None = None
    reasoning_text: str | None = None
    reasoning_opaque: str | None = None
    prefix: bool | None = None


class View(msgspec.Struct, Generic[M], gc=False):
    """What is read of a request body."""

    model: msgspec.Raw
    messages: Annotated[list[M], msgspec.Meta(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | msgspec.UnsetType | None = msgspec.UNSET
    max_tokens: Limit = None
    max_completion_tokens: Limit = None
    store: bool | None = None
    tools: msgspec.Raw = NULL
    functions: msgspec.Raw = NULL
    reasoning_effort: msgspec.Raw = NULL
    reasoning: msgspec.Raw = NULL
    response_format: msgspec.Raw = NULL
    prompt_cache_key: msgspec.Raw = NULL
    metadata: msgspec.Raw = NULL
    client_metadata: msgspec.Raw = NULL
    models: msgspec.Raw = NULL
    provider: msgspec.Raw = NULL


class Messages(msgspec.Struct, gc=False):
    """All members of all messages, whatever their names."""

    messages: list[dict[str, msgspec.Raw]]


class Named(msgspec.Struct, gc=False):
    """Something with a name."""

    name: str = ""


class Tool(msgspec.Struct, gc=False):
    """An offered tool; the name is inside `function`, `custom`, or beside them (legacy functions)."""

    function: Named | None = None
    custom: Named | None = None
    name: str = ""
    type: str = ""


class Kinded(msgspec.Struct, gc=False):
    """`response_format`."""

    type: str = ""


class Effort(msgspec.Struct, gc=False):
    """`reasoning`."""

    effort: str | None = None


_turns = cast(msgspec.json.Decoder[View[Message]], msgspec.json.Decoder(View[Turn]))  # a turn is a message
_messages = msgspec.json.Decoder(View[Message])
_members = msgspec.json.Decoder(Messages)
_tools = msgspec.json.Decoder(list[Tool] | None)
_format = msgspec.json.Decoder(Kinded | None)
_effort = msgspec.json.Decoder(Effort | None)
_text = msgspec.json.Decoder(str | None)


class OpenAiChat:
    """The chat completions dialect; see `dialects.Dialect`."""

    name = "openai_chat"
    paths: tuple[str, ...] = ("/chat/completions",)
    upstream_path = "/chat/completions"
    operation = "chat"
    keep_alive = b": keep-alive\n\n"
    served_by: tuple[str, ...] = ("openai_chat", "openai_responses", "anthropic_messages")

    def decode(self, body: bytes, endpoint: str) -> Request:
        """Read a request body. Raises: Fault BAD_REQUEST."""
        view, messages, model, at = _recall.read(body)
        view.messages = messages
        options = view.stream_options
        return Request(
            self.name,
            endpoint,
            body,
            model,
            at,
            view,
            view.stream is True,
            isinstance(options, StreamOptions) and options.include_usage is True,
            view.max_tokens if view.max_completion_tokens is None else view.max_completion_tokens,
            view.store is True,
            wishes=None if view.models is view.provider else wishes(view.models, view.provider),
        )

    def declared(self, request: Request) -> Declared | None:
        """Return the session id that the body carries."""
        view = _parsed(request)
        return identity.declared(view.prompt_cache_key, view.metadata, view.client_metadata)

    def opening(self, request: Request) -> Sequence[bytes]:
        """Return the system prompt and the first user message."""
        return identity.opening(_parsed(request).messages)

    def conversation(self, request: Request) -> Conversation:
        """Return what classification may look at."""
        view = _parsed(request)
        answer_format = _lenient(_format, view.response_format)
        return Conversation(
            endpoint=request.endpoint,
            messages=view.messages,
            tools=[*_named(view.tools), *_named(view.functions)],
            effort=_asked_effort(view),
            wants_schema=answer_format is not None and answer_format.type in _SCHEMAS,
            max_tokens=request.max_tokens,
            stream=request.stream,
            body_bytes=len(request.body),
        )

    def encode(self, request: Request, model: str, account: bool) -> bytes:
        """Return the body with `model` replaced and, when `account`, usage asked for on a stream."""
        body, at, name = request.body, request.model_at, encode_name(model)
        if account and request.stream and not request.wants_usage:
            body = asking(body, at, name, _parsed(request).stream_options is not msgspec.UNSET)
        else:
            body = splice(body, at, name)
        return body if request.wishes is None else stripped(body)

    def reader(self, request: Request) -> Reader:
        """Return a fresh reader for the streamed answer."""
        return StreamReader(keep_usage=request.wants_usage)

    def answer(self, body: bytes) -> Answer:
        """Read an unstreamed answer. Raises: Fault BAD_ANSWER, ERROR_EVENT."""
        return openai_answer.answer(body)

    def refuse(self, fault: Fault, request_id: str = "") -> Refusal:
        """Say the fault as a whole answer."""
        return openai_errors.refuse(fault)

    def interrupt(self, fault: Fault, request_id: str = "") -> bytes:
        """Say the fault as the event that ends a stream already begun."""
        return openai_errors.interrupt(fault)


DIALECT: Dialect = OpenAiChat()


def _read(body: bytes) -> Read[View[Message], Message]:
    check_utf8(body)
    try:
        view = _turns.decode(body)
    except (msgspec.DecodeError, RecursionError):  # unusual or wrong: the second look tells which
        view = _unusual(body)
    model, tools = model_name(view.model), view.tools
    if tools is not NULL and memoryview(tools)[0] not in b"[n":
        raise bad("tools", "expected array")
    if depth.flat(body):
        return view, view.messages, model, model_at(body, view.model, body)
    return view, view.messages, model, _placed(body, view)


def _unusual(body: bytes) -> View[Message]:
    view = read(_messages, body)
    members = [value for message in read(_members, body).messages for value in message.values()]
    if not depth.shallow(members, _INSIDE):
        raise too_deep()
    return view


def _placed(body: bytes, view: View[Message]) -> Span:
    """Return where the model is, once nothing nests too deep. Raises: Fault BAD_REQUEST."""
    messages, tools = view.messages, view.tools
    members = [item.content for item in messages]
    members += [item.tool_calls for item in messages if item.tool_calls is not NULL]
    if not (depth.shallow(members, _INSIDE) and depth.shallow_again(tools)):
        raise too_deep()
    last = messages[-1]
    said = messages[0].content, last.tool_calls if last.content is NULL else last.content
    return placed(body, view.model, (said, (tools, tools)))


def _bare(message: Message) -> Message:
    """Return a message without the members that are decoded only to see how deep they nest."""
    return type(message)(message.role, message.content, message.tool_calls, message.name, message.tool_call_id)


_recall = Recall(_read, ("tools",), bare=_bare)


def _parsed(request: Request) -> View[Message]:
    assert isinstance(request.parsed, View)
    return request.parsed


def _names(tools: msgspec.Raw) -> tuple[str, ...]:
    """Names of the offered tools; a list that is none of OpenAI's is the provider's to judge and names none."""
    return tuple((tool.function or tool.custom or tool).name or tool.type for tool in _lenient(_tools, tools) or ())


_named = Again(_names)


def _asked_effort(view: View[Message]) -> str:
    inner = _lenient(_effort, view.reasoning)
    return (_lenient(_text, view.reasoning_effort) or (inner.effort if inner else None) or "").lower()


def _lenient(decoder: msgspec.json.Decoder[T | None], value: msgspec.Raw) -> T | None:
    if value is NULL:
        return None
    try:
        return decoder.decode(value)
    except msgspec.ValidationError:
        return None
