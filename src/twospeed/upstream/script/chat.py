"""Chat completions: reads the request, says a script as `chat.completion` or its chunks.

Source: OpenAI API reference, "Chat Completions"; `reasoning_content` as DeepSeek and vLLM send it.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from twospeed.types import NULL, Message
from twospeed.upstream.script import Ask, Event, Origin, Part, Script, Tool, batches

READ_AT_MOST = 16_000  # characters of instructions that are looked at
FINGERPRINT = "fp_simulated"
DONE = Event(Part.DONE, b"data: [DONE]\n\n")
ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
}


class _Function(msgspec.Struct):
    name: str = ""
    parameters: msgspec.Raw = NULL


class _Tool(msgspec.Struct):
    type: str = "function"
    function: _Function | None = None


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Format(msgspec.Struct):
    type: str = "text"
    json_schema: msgspec.Raw = NULL


class _SchemaFormat(msgspec.Struct):
    schema: msgspec.Raw = msgspec.Raw(b"{}")


class _Body(msgspec.Struct):
    messages: list[Message]
    model: str
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    tools: list[_Tool] | None = None
    tool_choice: Any = None
    response_format: _Format | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    stop: str | list[str] | None = None


class _Part(msgspec.Struct):
    text: str | None = None


_decode_body = msgspec.json.Decoder(_Body).decode
_decode_content = msgspec.json.Decoder(str | list[_Part] | None).decode
_json = msgspec.json.encode


class ChatVoice:
    """`/chat/completions`."""

    def read(self, path: str, body: bytes) -> Ask:
        """Read a request. Raises: msgspec.MsgspecError for what is not a chat request."""
        asked = _decode_body(body)
        spoken = [message for message in asked.messages if message.role not in ("system", "developer")]
        said = [message for message in spoken if message.role == "user"]
        choice, allowed = _choice(asked.tool_choice)
        return Ask(
            path=path,
            model=asked.model,
            stream=bool(asked.stream),
            wants_usage=bool(asked.stream_options and asked.stream_options.include_usage),
            instructions=instructions_of(asked.messages, said[:1]),
            prompt=text_of(said[-1].content) if said else "",
            rounds=rounds_of(spoken),
            turns=sum(message.role == "assistant" for message in spoken),
            tools=_tools(asked.tools or (), allowed),
            choice=choice,
            schema=_schema(asked.response_format),
            max_tokens=asked.max_completion_tokens if asked.max_completion_tokens is not None else asked.max_tokens,
            stop=[asked.stop] if isinstance(asked.stop, str) else asked.stop or (),
            input_bytes=sum(len(memoryview(message.content)) for message in asked.messages),
        )

    def stream(self, ask: Ask, script: Script, origin: Origin, batch: int) -> Iterator[Event]:
        """Say it in chunks: the role, content, the finish reason, usage where asked for, [DONE]."""
        chunk = _Chunk(ask, origin)
        yield Event(Part.OPEN, chunk.of({"role": "assistant", "content": "" if not script.calls else None}))
        for field, said in ((b"reasoning_content", script.reasoning), (b"content", script.text)):
            before, after = chunk.around(field)
            for piece, tokens in batches(said, batch):
                yield Event(Part.CONTENT, before + _json(piece) + after, tokens)
        for index, call in enumerate(script.calls):
            head = {"index": index, "id": call.id, "type": "function", "function": {"name": call.name, "arguments": ""}}
            yield Event(Part.CONTENT, chunk.of({"tool_calls": [head]}), 1)
            for piece, tokens in batches(call.arguments, batch):
                delta = {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}
                yield Event(Part.CONTENT, chunk.of(delta), tokens)
        yield Event(Part.FINISH, chunk.of({}, script.finish))
        if ask.wants_usage:
            yield Event(Part.FINISH, chunk.usage(script))
        yield DONE

    def whole(self, ask: Ask, script: Script, origin: Origin) -> bytes:
        """Say it as one `chat.completion`."""
        message: dict[str, Any] = {"role": "assistant", "content": "".join(script.text) or None, "refusal": None}
        if script.reasoning:
            message["reasoning_content"] = "".join(script.reasoning)
        if script.calls:
            message["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": "".join(call.arguments)},
                }
                for call in script.calls
            ]
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": script.finish}
        return whole_body("chat.completion", "chatcmpl", ask, script, origin, choice)

    def error(self, status: int, message: str) -> bytes:
        """Return an OpenAI error body."""
        return error_body(status, message)

    def error_event(self, message: str) -> bytes:
        """Return an OpenAI error as one event."""
        return b"data: " + error_body(500, message) + b"\n\n"


class _Chunk:
    """Makes the chunks of one stream around a head and a tail made once."""

    def __init__(self, ask: Ask, origin: Origin) -> None:
        head = head_of("chat.completion.chunk", "chatcmpl", ask, origin)
        self._head = b"data: " + _json(head)[:-1] + b',"choices":['
        self._tail = b',"usage":null}\n\n' if ask.wants_usage else b"}\n\n"

    def around(self, field: bytes) -> tuple[bytes, bytes]:
        """Return what stands before and after the JSON text of one piece."""
        before = self._head + b'{"index":0,"delta":{"' + field + b'":'
        return before, b'},"logprobs":null,"finish_reason":null}]' + self._tail

    def of(self, delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return self._head + _json(choice) + b"]" + self._tail

    def usage(self, script: Script) -> bytes:
        return self._head + b'],"usage":' + _json(usage_of(script)) + b"}\n\n"


def head_of(kind: str, prefix: str, ask: Ask, origin: Origin) -> dict[str, Any]:
    """Return the fields that every OpenAI completion body and chunk begins with."""
    return {
        "id": f"{prefix}-{origin.id}",
        "object": kind,
        "created": origin.created,
        "model": ask.model,
        "system_fingerprint": FINGERPRINT,
    }


def whole_body(kind: str, prefix: str, ask: Ask, script: Script, origin: Origin, choice: dict[str, Any]) -> bytes:
    """Return an unstreamed OpenAI completion with one choice."""
    return _json({**head_of(kind, prefix, ask, origin), "choices": [choice], "usage": usage_of(script)})


def usage_of(script: Script) -> dict[str, Any]:
    """Return usage in OpenAI's words."""
    return {
        "prompt_tokens": script.input_tokens,
        "completion_tokens": script.output_tokens,
        "total_tokens": script.input_tokens + script.output_tokens,
        "prompt_tokens_details": {"cached_tokens": script.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": len(script.reasoning), "audio_tokens": 0},
    }


def error_body(status: int, message: str) -> bytes:
    """Return an error in OpenAI's shape."""
    other = "invalid_request_error" if status < 500 else "server_error"
    kind = "rate_limit_error" if status == 429 else ERROR_TYPES.get(status, other)
    code = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}.get(status)
    return _json({"error": {"message": message, "type": kind, "param": None, "code": code}})


def text_of(content: msgspec.Raw) -> str:
    """Return the text of a message, images and the like left out; "" for content that is not text."""
    try:
        found = _decode_content(content)
    except msgspec.ValidationError:
        return ""
    return found if isinstance(found, str) else "\n".join(part.text for part in found or () if part.text)


def instructions_of(messages: Sequence[Message], first: Sequence[Message]) -> str:
    """Return what system messages and the first user message say, each as far as it is looked at."""
    told = [message for message in messages if message.role in ("system", "developer")]
    return "\n".join(text_of(message.content)[:READ_AT_MOST] for message in (*told[:4], *first))


def rounds_of(spoken: Sequence[Message]) -> int:
    """Count tool rounds since the user last spoke freely, not in the middle of a round of tools."""
    rounds = 0
    for at in range(len(spoken) - 1, -1, -1):
        calling = spoken[at].tool_calls not in (NULL, b"[]")
        rounds += calling
        before = spoken[at - 1] if at else None
        amid = before is not None and (before.role in ("tool", "function") or before.tool_calls not in (NULL, b"[]"))
        if spoken[at].role == "user" and not amid:
            break
    return max(rounds, int(bool(spoken) and spoken[-1].role in ("tool", "function")))


def _choice(choice: Any) -> tuple[str, Sequence[str] | None]:
    """Return how tools may be chosen, and the names allowed where the request narrows them down."""
    if isinstance(choice, str):
        return choice, None
    allowed = _dict(choice).get("allowed_tools")
    if isinstance(allowed, dict):
        return str(allowed.get("mode", "auto")), [_function_name(tool) for tool in _list(allowed.get("tools"))]
    return _function_name(choice) or "auto", None


def _function_name(tool: Any) -> str:
    return str(_dict(_dict(tool).get("function")).get("name", ""))


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _tools(offered: Sequence[_Tool], allowed: Sequence[str] | None) -> list[Tool]:
    functions = [tool.function for tool in offered if tool.function is not None and tool.type == "function"]
    return [Tool(f.name, f.parameters) for f in functions if allowed is None or f.name in allowed]


def _schema(form: _Format | None) -> msgspec.Raw:
    if form is None or form.type not in ("json_object", "json_schema"):
        return NULL
    if form.type == "json_object" or form.json_schema == NULL:
        return msgspec.Raw(b'{"type":"object","properties":{"answer":{"type":"string"}},"required":["answer"]}')
    return msgspec.json.decode(form.json_schema, type=_SchemaFormat).schema
