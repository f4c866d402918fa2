"""Anthropic Messages and its token count: reads the request, says a script as one message or its events.

As strict as the real one where a client's history is easily broken: each tool_use has its tool_result in the next
turn, and thinking is taken back only with the signature it was given.
Source: Anthropic API reference, "Messages", "Streaming messages".
"""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import msgspec

from twospeed.types import NULL, Message
from twospeed.upstream.script import Ask, Event, Origin, Part, Script, Tool, batches
from twospeed.upstream.script.chat import instructions_of, rounds_of, text_of
from twospeed.upstream.script.responses import CALLING

SIGNED = "simsig_"
STOPS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}
ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}
CHOICES = {"any": "required", "auto": "auto", "none": "none"}


class _Block(msgspec.Struct):
    type: str = "text"
    id: str = ""
    tool_use_id: str = ""
    signature: str | None = None


class _Tool(msgspec.Struct):
    name: str
    input_schema: msgspec.Raw = NULL


class _Choice(msgspec.Struct):
    type: str = "auto"
    name: str = ""


class _Format(msgspec.Struct):
    schema: msgspec.Raw = NULL


class _Output(msgspec.Struct):
    format: _Format | None = None


class _Counted(msgspec.Struct):
    model: str
    messages: Annotated[list[Message], msgspec.Meta(min_length=1)]
    system: msgspec.Raw = NULL
    tools: list[_Tool] | None = None


class _Body(_Counted, kw_only=True):
    max_tokens: int
    stream: bool | None = None
    tool_choice: _Choice | None = None
    stop_sequences: list[str] | None = None
    output_config: _Output | None = None


_decode_body = msgspec.json.Decoder(_Body).decode
_decode_counted = msgspec.json.Decoder(_Counted).decode
_decode_blocks = msgspec.json.Decoder(list[_Block]).decode
_json = msgspec.json.encode


class MessagesVoice:
    """`/messages`."""

    def read(self, path: str, body: bytes) -> Ask:
        """Read a request. Raises: msgspec.MsgspecError, ValueError for what is refused."""
        asked = _decode_body(body)
        messages = _messages(asked)
        spoken = [message for message in messages if message.role != "system"]
        said = [message for message in spoken if message.role == "user"]
        form = asked.output_config.format if asked.output_config else None
        choice = asked.tool_choice or _Choice()
        return Ask(
            path=path,
            model=asked.model,
            stream=bool(asked.stream),
            instructions=instructions_of(messages, said[:1]),
            prompt=text_of(said[-1].content) if said else "",
            rounds=rounds_of(spoken),
            turns=sum(message.role == "assistant" for message in spoken),
            tools=[Tool(tool.name, tool.input_schema) for tool in asked.tools or ()],
            choice=CHOICES.get(choice.type, choice.name),
            schema=form.schema if form else NULL,
            max_tokens=asked.max_tokens,
            stop=asked.stop_sequences or (),
            input_bytes=sum(len(memoryview(message.content)) for message in messages),
        )

    def stream(self, ask: Ask, script: Script, origin: Origin, batch: int) -> Iterator[Event]:
        """Say it in events: message_start, each block piece by piece, message_delta with the usage, message_stop."""
        begun = _message(ask, script, origin, [], None)
        begun["usage"]["output_tokens"] = 1
        yield _event(Part.OPEN, "message_start", message=begun)
        yield _event(Part.OPEN, "ping")
        for place, (block, deltas) in enumerate(_blocks(script, origin, batch)):
            part = Part.CONTENT if block["type"] == "tool_use" else Part.OPEN
            empty: dict[str, Any] = {name: "" for name in ("text", "thinking", "signature") if name in block}
            if "input" in block:
                empty["input"] = {}
            tokens = int(part is Part.CONTENT)
            yield _event(part, "content_block_start", tokens, index=place, content_block=block | empty)
            for delta, tokens in deltas:
                yield _event(Part.CONTENT, "content_block_delta", tokens, index=place, delta=delta)
            yield _event(Part.CONTENT, "content_block_stop", index=place)
        stop = {"stop_reason": STOPS[script.finish], "stop_sequence": None}
        yield _event(Part.FINISH, "message_delta", delta=stop, usage=_usage(script))
        yield _event(Part.DONE, "message_stop")

    def whole(self, ask: Ask, script: Script, origin: Origin) -> bytes:
        """Say it as one message."""
        content = [block for block, _ in _blocks(script, origin, 1)]
        return _json(_message(ask, script, origin, content, STOPS[script.finish]))

    def error(self, status: int, message: str) -> bytes:
        """Return an Anthropic error body."""
        return error_body(status, message)

    def error_event(self, message: str) -> bytes:
        """Return an Anthropic error as one event."""
        return b"event: error\ndata: " + error_body(529, message) + b"\n\n"


class CountVoice(MessagesVoice):
    """`/messages/count_tokens`."""

    def read(self, path: str, body: bytes) -> Ask:
        """Read a request. Raises: msgspec.MsgspecError, ValueError for what is refused."""
        messages = _messages(_decode_counted(body))
        return Ask(path=path, max_tokens=0, input_bytes=sum(len(memoryview(message.content)) for message in messages))

    def whole(self, ask: Ask, script: Script, origin: Origin) -> bytes:
        """Say the number."""
        return _json({"input_tokens": script.input_tokens})


def error_body(status: int, message: str) -> bytes:
    """Return an error in Anthropic's shape."""
    kind = ERROR_TYPES.get(status, "invalid_request_error" if status < 500 else "api_error")
    return _json({"type": "error", "error": {"type": kind, "message": message}, "request_id": None})


def _messages(asked: _Counted) -> list[Message]:
    """Return the turns as chat has them: results of tools as messages of a tool. Raises: ValueError."""
    found = [Message("system", asked.system)] if asked.system != NULL else []
    open_calls: set[str] = set()
    for place, turn in enumerate(asked.messages):
        blocks = _decode_blocks(turn.content) if memoryview(turn.content)[0] == 0x5B else []
        _check(place, blocks, open_calls)
        open_calls = {block.id for block in blocks if block.type == "tool_use"}
        if open_calls:
            found.append(Message("assistant", turn.content, CALLING))
        elif any(block.type == "tool_result" for block in blocks):
            found.append(Message("tool", turn.content))
        else:
            found.append(turn)
    return found


def _check(place: int, blocks: Sequence[_Block], open_calls: set[str]) -> None:
    results = {block.tool_use_id for block in blocks if block.type == "tool_result"}
    if open_calls - results:
        raise ValueError(f"messages.{place}: `tool_use` ids were found without `tool_result` blocks immediately after")
    if results - open_calls:
        raise ValueError(f"messages.{place}: unexpected `tool_use_id` found in `tool_result` blocks")
    for block in blocks:
        if block.type == "thinking" and not (block.signature or "").startswith(SIGNED):
            raise ValueError(f"messages.{place}: Invalid `signature` in `thinking` block")


def _blocks(
    script: Script, origin: Origin, batch: int
) -> Iterator[tuple[dict[str, Any], list[tuple[dict[str, Any], int]]]]:
    """Yield each block whole, with the deltas it is said in."""
    if script.reasoning:
        said: list[tuple[dict[str, Any], int]] = [
            ({"type": "thinking_delta", "thinking": piece}, tokens)
            for piece, tokens in batches(script.reasoning, batch)
        ]
        said.append(({"type": "signature_delta", "signature": SIGNED + origin.id}, 0))
        yield {"type": "thinking", "thinking": "".join(script.reasoning), "signature": SIGNED + origin.id}, said
    if script.text:
        pieces = batches(script.text, batch)
        yield (
            {"type": "text", "text": "".join(script.text)},
            [({"type": "text_delta", "text": piece}, tokens) for piece, tokens in pieces],
        )
    for call in script.calls:
        arguments = msgspec.json.decode("".join(call.arguments))
        pieces = batches(call.arguments, batch)
        yield (
            {"type": "tool_use", "id": call.id.replace("call_", "toolu_"), "name": call.name, "input": arguments},
            [({"type": "input_json_delta", "partial_json": piece}, tokens) for piece, tokens in pieces],
        )


def _message(ask: Ask, script: Script, origin: Origin, content: list[Any], stop: str | None) -> dict[str, Any]:
    return {
        "id": f"msg_{origin.id}",
        "type": "message",
        "role": "assistant",
        "model": ask.model,
        "content": content,
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": _usage(script),
    }


def _usage(script: Script) -> dict[str, Any]:
    return {
        "input_tokens": script.input_tokens - script.cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": script.cached_tokens,
        "output_tokens": script.output_tokens,
    }


def _event(part: Part, kind: str, tokens: int = 0, /, **fields: Any) -> Event:
    return Event(part, b"event: %b\ndata: %b\n\n" % (kind.encode(), _json({"type": kind, **fields})), tokens)
