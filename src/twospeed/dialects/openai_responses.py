"""OpenAI Responses: `POST /v1/responses`, streamed and plain.

The body passes byte for byte, `model` excepted. `store` left out is not taken as a wish to keep state, although OpenAI
keeps such responses for a month: nobody can refer to one but by `previous_response_id`, and a request that does is
stateful (R3) and bound to a provider that speaks this dialect, as are `conversation` and `background`.
Source: OpenAI API reference, "Responses"; what real clients send is in the golden files.
"""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Generic, TypeVar

import msgspec

from twospeed.dialects import (
    Answer,
    Dialect,
    Reader,
    Refusal,
    depth,
    identity,
    openai_errors,
    openai_responses_stream,
    seals,
)
from twospeed.dialects.again import Again
from twospeed.dialects.body import (
    bad,
    check_utf8,
    checked,
    encode_name,
    lenient,
    missing,
    model_name,
    read,
    splice,
)
from twospeed.dialects.openai_responses_stream import ResponsesReader
from twospeed.dialects.recall import Read, Recall
from twospeed.dialects.wishes import stripped, wishes
from twospeed.errors import Fault
from twospeed.types import NULL, Conversation, Declared, Message, Request

T = TypeVar("T")
Limit = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)] | None
_QUOTE, _ARRAY = 0x22, 0x5B
_MEMBER = depth.LIMIT - 1  # levels left for a member of the body
_INSIDE = depth.LIMIT - 3  # for one of an item
_ACTING_TYPES = ("mcp", "code_interpreter", "computer")  # types of tools begin so
_SCHEMAS = frozenset({"json_schema", "json_object"})


class View(msgspec.Struct, Generic[T], gc=False):
    """What is read of a request body."""

    model: msgspec.Raw
    input: T = NULL  # type: ignore[assignment]  # absent where it is no JSON text and no list
    instructions: msgspec.Raw = NULL
    stream: bool | None = None
    max_output_tokens: Limit = None
    store: bool | None = None
    background: bool | None = None
    previous_response_id: str | None = None
    conversation: msgspec.Raw = NULL
    prompt: msgspec.Raw = NULL
    tools: msgspec.Raw = NULL
    reasoning: msgspec.Raw = NULL
    text: msgspec.Raw = NULL
    prompt_cache_key: msgspec.Raw = NULL
    metadata: msgspec.Raw = NULL
    client_metadata: msgspec.Raw = NULL
    models: msgspec.Raw = NULL
    provider: msgspec.Raw = NULL


class Item(msgspec.Struct, gc=False):
    """One item of the input: a message, a call, its output, reasoning; an open set of types."""

    type: str | None = None
    role: str | None = None
    content: msgspec.Raw = NULL
    name: msgspec.Raw = NULL
    arguments: msgspec.Raw = NULL
    input: msgspec.Raw = NULL
    action: msgspec.Raw = NULL
    output: msgspec.Raw = NULL
    encrypted_content: msgspec.Raw = NULL


class Plain(Item, forbid_unknown_fields=True, gc=False):
    """An item with nothing in it but fields whose depth is known: only those that stay JSON text can nest.

    An input that does not fit is decoded as it comes instead, and all of it is looked into.
    """

    summary: msgspec.Raw = NULL
    id: str | None = None
    call_id: str | None = None
    status: str | None = None
    phase: str | None = None
    namespace: str | None = None


class Parsed(msgspec.Struct):
    """The view and its items; None where the input is text."""

    view: View[Any]
    items: list[Item] | None


class Kinded(msgspec.Struct, gc=False):
    """An offered tool, as far as its type."""

    type: str | None = None


class Tool(msgspec.Struct, gc=False):
    """An offered tool; a namespace holds more of them."""

    name: str = ""
    type: str = ""
    tools: list["Tool"] | None = None


class Effort(msgspec.Struct, gc=False):
    """`reasoning`."""

    effort: str | None = None


class Format(msgspec.Struct, gc=False):
    """`text.format`."""

    type: str = ""


class TextOptions(msgspec.Struct, gc=False):
    """`text`."""

    format: Format | None = None


_plain = msgspec.json.Decoder(View[list[Plain]])
_view = msgspec.json.Decoder(View[msgspec.Raw])
_items = msgspec.json.Decoder(list[Item])
_kinds: msgspec.json.Decoder[list[Kinded] | None] = msgspec.json.Decoder(list[Kinded] | None)
_tools: msgspec.json.Decoder[list[Tool] | None] = msgspec.json.Decoder(list[Tool] | None)
_effort: msgspec.json.Decoder[Effort | None] = msgspec.json.Decoder(Effort | None)
_text: msgspec.json.Decoder[TextOptions | None] = msgspec.json.Decoder(TextOptions | None)


class OpenAiResponses:
    """The Responses dialect; see `dialects.Dialect`."""

    name = "openai_responses"
    paths: tuple[str, ...] = ("/responses",)
    upstream_path = "/responses"
    operation = "chat"
    keep_alive = b'event: keepalive\ndata: {"type":"keepalive"}\n\n'  # Codex counts data only, comments not
    served_by: tuple[str, ...] = ("openai_responses", "openai_chat", "anthropic_messages")

    def decode(self, body: bytes, endpoint: str) -> Request:
        """Read a request body. Raises: Fault BAD_REQUEST."""
        view, said, model, at = _recall.read(body)
        items = said if _listed(view.input) else None
        bound = _bound(view, items)
        return Request(
            self.name,
            endpoint,
            body,
            model,
            at,
            Parsed(view, items),
            view.stream is True,
            True,
            view.max_output_tokens,
            view.store is True or bool(bound) or _acts(view.tools),
            bound,
            wishes(view.models, view.provider),
        )

    def declared(self, request: Request) -> Declared | None:
        """Return the session id that the body carries."""
        view = _parsed(request).view
        return identity.declared(view.prompt_cache_key, view.metadata, view.client_metadata)

    def opening(self, request: Request) -> Sequence[bytes]:
        """Return the instructions and the first user message."""
        view = _parsed(request).view
        begin = [bytes(view.instructions)] if view.instructions != NULL else []
        return [*begin, *identity.opening(_messages(_parsed(request)))]

    def conversation(self, request: Request) -> Conversation:
        """Return what classification may look at."""
        view = _parsed(request).view
        effort, text = lenient(_effort, view.reasoning), lenient(_text, view.text)
        return Conversation(
            endpoint=request.endpoint,
            messages=list(_messages(_parsed(request))),
            tools=[*_named(view.tools)],
            system=view.instructions,
            effort=(effort.effort or "").lower() if effort else "",
            wants_schema=bool(text and text.format and text.format.type in _SCHEMAS),
            max_tokens=request.max_tokens,
            stream=request.stream,
            body_bytes=len(request.body),
        )

    def encode(self, request: Request, model: str, account: bool) -> bytes:
        """Return the body with `model` replaced; reasoning sealed by another provider's answers is left out."""
        body = splice(request.body, request.model_at, encode_name(model))
        if request.wishes is not None:
            body = stripped(body)
        kept = [bytes(item.encrypted_content) for item in _parsed(request).items or () if item.type == "reasoning"]
        return seals.without_sealed_items(body) if any(map(seals.sealed, kept)) else body

    def reader(self, request: Request) -> Reader:
        """Return a fresh reader for the streamed answer."""
        return ResponsesReader()

    def answer(self, body: bytes) -> Answer:
        """Read an unstreamed answer. Raises: Fault BAD_ANSWER, ERROR_EVENT."""
        return openai_responses_stream.answer(body)

    def refuse(self, fault: Fault, request_id: str = "") -> Refusal:
        """Say the fault as a whole answer."""
        return openai_errors.refuse(fault)

    def interrupt(self, fault: Fault, request_id: str = "") -> bytes:
        """Say the fault as the event that ends a stream of which nothing is known yet."""
        return ResponsesReader().interrupt(fault)


DIALECT: Dialect = OpenAiResponses()


def _read(body: bytes) -> Read[View[Any], Item]:
    check_utf8(body)
    try:
        view = _plain.decode(body)
    except (msgspec.DecodeError, RecursionError):  # unusual or wrong: the second look tells which
        return _read_unusual(body)
    if not view.input or not isinstance(view.input, list):
        return _read_unusual(body)
    model, items = model_name(view.model), view.input
    said = [text for item in items for text in _texts(item) if text is not NULL]
    long = (said[0], said[-1]) if said else (NULL, NULL)
    return view, [*items], model, checked(body, view.model, view.tools, view.instructions, said, _INSIDE, long)


def _read_unusual(body: bytes) -> Read[View[Any], Item]:
    view = read(_view, body)
    model, said = model_name(view.model), view.input
    items = _items_of(view)
    return view, items, model, checked(body, view.model, view.tools, view.instructions, [said], _MEMBER, (said, said))


def _texts(item: Plain) -> tuple[msgspec.Raw, ...]:
    """Return what may nest."""
    return (
        item.content,
        item.name,
        item.arguments,
        item.input,
        item.action,
        item.output,
        item.encrypted_content,
        item.summary,
    )


def _items_of(view: View[msgspec.Raw]) -> list[Item]:
    """Return the items of the input, none where it is a text. Raises: Fault BAD_REQUEST."""
    if _listed(view.input):
        return read(_items, view.input, "input")
    if view.input == NULL:
        if not _bound(view, None) and view.prompt == NULL:
            raise missing("input")
    elif memoryview(view.input)[0] != _QUOTE:
        raise bad("input", "expected a string or an array of items")
    return []


def _listed(said: list[Plain] | msgspec.Raw) -> bool:
    return isinstance(said, list) or memoryview(said)[0] == _ARRAY


_recall = Recall(_read, ("instructions", "tools"))


def _acting(tools: msgspec.Raw) -> bool:
    """Say whether a tool is offered that acts at the provider or beyond (R3)."""
    return any((tool.type or "").startswith(_ACTING_TYPES) for tool in lenient(_kinds, tools) or ())


_acts = Again(_acting)


def _bound(view: View[Any], items: list[Item] | None) -> str:
    """Return the field that refers to what only one provider keeps, "" for none."""
    if view.previous_response_id:
        return "previous_response_id"
    if view.conversation != NULL:
        return "conversation"
    if view.background:
        return "background"
    # AI SDK's provider names earlier items so, unless told not to have them stored.
    return "item_reference" if items and "item_reference" in [item.type for item in items] else ""


def _parsed(request: Request) -> Parsed:
    assert isinstance(request.parsed, Parsed)
    return request.parsed


def _messages(parsed: Parsed) -> Iterator[Message]:
    """Return the input as chat messages: calls become those of an assistant, outputs those of a tool."""
    if parsed.items is None and parsed.view.input != NULL:
        yield Message("user", parsed.view.input)
    calls: list[bytes] = []
    for item in parsed.items or ():
        call = _call(item)
        if call:
            calls.append(call)
            continue
        if calls:
            yield _calling(calls)
            calls = []
        if item.output != NULL:
            yield Message("tool", item.output)
        elif item.type in (None, "message"):
            yield Message(item.role or "", item.content)
    if calls:
        yield _calling(calls)


def _call(item: Item) -> bytes:
    """Return a call as chat has it, as JSON text; b"" when the item is none."""
    if not item.type or not item.type.endswith("_call"):
        return b""
    arguments = next((value for value in (item.arguments, item.input, item.action) if value != NULL), NULL)
    return b'{"function":{"name":%b,"arguments":%b}}' % (_name(item), bytes(arguments))


def _name(item: Item) -> bytes:
    return bytes(item.name) if item.name is not NULL else encode_name(item.type or "")


def _calling(calls: Sequence[bytes]) -> Message:
    return Message("assistant", tool_calls=msgspec.Raw(b"[" + b",".join(calls) + b"]"))


def _names(tools: Sequence[Tool]) -> list[str]:
    """Names of the offered tools, those of a namespace one by one."""
    found: list[str] = []
    for tool in tools:
        found += _names(tool.tools) if tool.tools else [tool.name or tool.type]
    return found


def _offered(tools: msgspec.Raw) -> tuple[str, ...]:
    offered = lenient(_tools, tools)
    return tuple(_names(offered or ()))


_named = Again(_offered)
