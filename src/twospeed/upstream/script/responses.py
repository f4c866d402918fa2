"""Responses: reads the request, says a script as one response or its events.

It keeps nothing, so `previous_response_id` is refused, as is encrypted reasoning that it did not write itself.
Source: OpenAI API reference, "Responses" and its streaming events.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from twospeed.types import NULL, Message
from twospeed.upstream.script import Ask, Call, Event, Origin, Part, Script, Tool, batches
from twospeed.upstream.script.chat import error_body, instructions_of, rounds_of, text_of

ENCRYPTED = "simenc_"
CALLING = msgspec.Raw(b"[1]")  # stands for calls whose contents do not matter
FREE_OBJECT = msgspec.Raw(b'{"type":"object","properties":{"answer":{"type":"string"}},"required":["answer"]}')


class _Item(msgspec.Struct):
    type: str | None = None
    role: str | None = None
    content: msgspec.Raw = NULL
    output: msgspec.Raw = NULL
    encrypted_content: str | None = None


class _Tool(msgspec.Struct):
    type: str = "function"
    name: str = ""
    parameters: msgspec.Raw = NULL


class _Format(msgspec.Struct):
    type: str = "text"
    schema: msgspec.Raw = FREE_OBJECT


class _Text(msgspec.Struct):
    format: _Format | None = None


class _Body(msgspec.Struct):
    model: str
    input: str | list[_Item]
    instructions: str | None = None
    stream: bool | None = None
    tools: list[_Tool] | None = None
    tool_choice: Any = None
    text: _Text | None = None
    max_output_tokens: int | None = None
    previous_response_id: str | None = None


_decode_body = msgspec.json.Decoder(_Body).decode
_json = msgspec.json.encode


class ResponsesVoice:
    """`/responses`."""

    def read(self, path: str, body: bytes) -> Ask:
        """Read a request. Raises: msgspec.MsgspecError, ValueError for what is refused."""
        asked = _decode_body(body)
        if asked.previous_response_id:
            raise ValueError(f"Previous response with id '{asked.previous_response_id}' not found.")
        system = [Message("system", msgspec.Raw(_json(asked.instructions)))] if asked.instructions else []
        messages = system + _messages(asked.input)
        spoken = [message for message in messages if message.role not in ("system", "developer")]
        said = [message for message in spoken if message.role == "user"]
        form = asked.text.format if asked.text else None
        return Ask(
            path=path,
            model=asked.model,
            stream=bool(asked.stream),
            instructions=instructions_of(messages, said[:1]),
            prompt=text_of(said[-1].content) if said else "",
            rounds=rounds_of(spoken),
            turns=sum(message.role == "assistant" for message in spoken),
            tools=[Tool(tool.name, tool.parameters) for tool in asked.tools or () if tool.type == "function"],
            choice=_choice(asked.tool_choice),
            schema=form.schema if form and form.type != "text" else NULL,
            max_tokens=asked.max_output_tokens,
            input_bytes=sum(len(memoryview(message.content)) for message in messages),
        )

    def stream(self, ask: Ask, script: Script, origin: Origin, batch: int) -> Iterator[Event]:
        """Say it in events: created, then each item piece by piece, then completed or incomplete."""
        return _Stream(ask, script, origin).events(batch)

    def whole(self, ask: Ask, script: Script, origin: Origin) -> bytes:
        """Say it as one response."""
        return _json(_response(ask, script, origin, _items(script, origin)))

    def error(self, status: int, message: str) -> bytes:
        """Return an OpenAI error body."""
        return error_body(status, message)

    def error_event(self, message: str) -> bytes:
        """Return an error as one event."""
        event = {"type": "error", "code": "server_error", "message": message, "param": None, "sequence_number": 999}
        return b"event: error\ndata: " + _json(event) + b"\n\n"


class _Stream:
    """Numbers the events of one response."""

    def __init__(self, ask: Ask, script: Script, origin: Origin) -> None:
        self._ask, self._script, self._origin = ask, script, origin
        self._number = 0

    def events(self, batch: int) -> Iterator[Event]:
        script = self._script
        begun = _response(self._ask, script, self._origin, [], "in_progress")
        yield self._event(Part.OPEN, "created", response=begun)
        yield self._event(Part.OPEN, "in_progress", response=begun)
        items = _items(script, self._origin)
        for place, item in enumerate(items):
            yield from self._item(place, item, batch)
        last = _response(self._ask, script, self._origin, items)
        yield self._event(Part.FINISH, last["status"], response=last)

    def _item(self, place: int, item: dict[str, Any], batch: int) -> Iterator[Event]:
        where = {"output_index": place, "item_id": item["id"]}
        kind = item["type"]
        empty: dict[str, Any] = {"message": {"content": []}, "reasoning": {"summary": []}}.get(kind, {"arguments": ""})
        part = Part.CONTENT if kind == "function_call" else Part.OPEN
        added = item | empty | {"status": "in_progress"}
        yield self._event(part, "output_item.added", int(part is Part.CONTENT), output_index=place, item=added)
        if kind == "message":
            yield from self._text(where, item["content"][0], batch)
        elif kind == "reasoning":
            yield from self._reasoning(where, item["summary"][0], batch)
        else:
            yield from self._arguments(where, self._script.calls, item, batch)
        yield self._event(Part.CONTENT, "output_item.done", output_index=place, item=item)

    def _text(self, where: dict[str, Any], part: dict[str, Any], batch: int) -> Iterator[Event]:
        where = {**where, "content_index": 0}
        yield self._event(Part.OPEN, "content_part.added", **where, part=part | {"text": ""})
        for piece, tokens in batches(self._script.text, batch):
            yield self._event(Part.CONTENT, "output_text.delta", tokens, **where, delta=piece, logprobs=[])
        yield self._event(Part.CONTENT, "output_text.done", **where, text=part["text"], logprobs=[])
        yield self._event(Part.CONTENT, "content_part.done", **where, part=part)

    def _reasoning(self, where: dict[str, Any], part: dict[str, Any], batch: int) -> Iterator[Event]:
        where = {**where, "summary_index": 0}
        yield self._event(Part.OPEN, "reasoning_summary_part.added", **where, part=part | {"text": ""})
        for piece, tokens in batches(self._script.reasoning, batch):
            yield self._event(Part.CONTENT, "reasoning_summary_text.delta", tokens, **where, delta=piece)
        yield self._event(Part.CONTENT, "reasoning_summary_text.done", **where, text=part["text"])
        yield self._event(Part.CONTENT, "reasoning_summary_part.done", **where, part=part)

    def _arguments(
        self, where: dict[str, Any], calls: Sequence[Call], item: dict[str, Any], batch: int
    ) -> Iterator[Event]:
        call = next(call for call in calls if call.id == item["call_id"])
        for piece, tokens in batches(call.arguments, batch):
            yield self._event(Part.CONTENT, "function_call_arguments.delta", tokens, **where, delta=piece)
        yield self._event(Part.CONTENT, "function_call_arguments.done", **where, arguments=item["arguments"])

    def _event(self, part: Part, kind: str, tokens: int = 0, /, **fields: Any) -> Event:
        name = f"response.{kind}"
        body = _json({"type": name, "sequence_number": self._number, **fields})
        self._number += 1
        return Event(part, b"event: " + name.encode() + b"\ndata: " + body + b"\n\n", tokens)


def _messages(asked: str | list[_Item]) -> list[Message]:
    if isinstance(asked, str):
        return [Message("user", msgspec.Raw(_json(asked)))]
    messages = []
    for item in asked:
        if item.encrypted_content and not item.encrypted_content.startswith(ENCRYPTED):
            raise ValueError("The encrypted content could not be verified.")
        if (item.type or "").endswith("_call"):
            messages.append(Message("assistant", tool_calls=CALLING))
        elif item.output != NULL:
            messages.append(Message("tool", item.output))
        elif item.type in (None, "message"):
            messages.append(Message(item.role or "", item.content))
    return messages


def _choice(choice: Any) -> str:
    return str(choice.get("name", "auto")) if isinstance(choice, dict) else choice or "auto"


def _items(script: Script, origin: Origin) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    if script.reasoning:
        summary = [{"type": "summary_text", "text": "".join(script.reasoning)}]
        sealed = ENCRYPTED + origin.id
        items.append({"id": f"rs_{origin.id}", "type": "reasoning", "summary": summary, "encrypted_content": sealed})
    if script.text or not script.calls:
        part = {"type": "output_text", "text": "".join(script.text), "annotations": [], "logprobs": []}
        message = {"type": "message", "role": "assistant", "status": "completed", "content": [part]}
        items.append({"id": f"msg_{origin.id}", **message})
    for number, call in enumerate(script.calls):
        said = {"call_id": call.id, "name": call.name, "arguments": "".join(call.arguments), "status": "completed"}
        items.append({"id": f"fc_{origin.id}_{number}", "type": "function_call", **said})
    return items


def _response(
    ask: Ask, script: Script, origin: Origin, output: list[dict[str, Any]], status: str = ""
) -> dict[str, Any]:
    cut = script.finish == "length"
    return {
        "id": f"resp_{origin.id}",
        "object": "response",
        "created_at": origin.created,
        "status": status or ("incomplete" if cut else "completed"),
        "background": False,
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if cut and not status else None,
        "instructions": None,
        "max_output_tokens": ask.max_tokens,
        "model": ask.model,
        "output": output,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "store": False,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": None if status else _usage(script),
        "metadata": {},
    }


def _usage(script: Script) -> dict[str, Any]:
    return {
        "input_tokens": script.input_tokens,
        "input_tokens_details": {"cached_tokens": script.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": script.output_tokens,
        "output_tokens_details": {"reasoning_tokens": len(script.reasoning)},
        "total_tokens": script.input_tokens + script.output_tokens,
    }
