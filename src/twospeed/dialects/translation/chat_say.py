"""Events -> chat completions, streamed or whole."""

from typing import Any

import msgspec

from twospeed.dialects import openai_errors, sse
from twospeed.dialects.translation.hub import (
    BRIDGED,
    Ask,
    Call,
    CallBegin,
    CallEnd,
    CallMore,
    End,
    Event,
    Finish,
    Head,
    Keep,
    Say,
    Think,
)
from twospeed.errors import Fault
from twospeed.types import Usage

_FINISH: dict[Finish, str] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "stop_sequence": "stop",
    "refusal": "content_filter",
    "pause": "stop",
}
_encode = msgspec.json.encode


class ChatSpeaker:
    """Says one answer. `usage`: the client wants the event with the usage."""

    def __init__(self, ask: Ask, provider: str, usage: bool) -> None:
        self._ask = ask
        self._usage = usage
        self._text: list[str] = []
        self._thought: list[str] = []
        self._calls: list[Call] = []
        self._shell = b""

    def begin(self, head: Head) -> bytes:
        """Begin the answer."""
        self._head = head
        shell = {"id": f"chatcmpl-{head.id}", "object": "chat.completion.chunk", "created": head.created}
        self._shell = b"data: " + _encode({**shell, "model": head.model})[:-1]
        return self._chunk({"role": "assistant", "content": ""})

    def say(self, event: Event) -> bytes:
        """Say one event."""
        match event:
            case Say(text):
                self._text.append(text)
                return self._chunk({"content": text})
            case Think(text):
                self._thought.append(text)
                return self._chunk({"reasoning_content": text})
            case Keep(block):
                if block:
                    self._ask.drop("reasoning signature")
            case CallBegin(_, identity, name):
                return self._begin(identity, name)
            case CallMore(_, text):
                return self._more(text)
            case CallEnd():
                return self._end()
        return b""

    def end(self, end: End) -> bytes:
        """End the stream."""
        usage = _usage(end.usage) if end.usage and self._usage else None
        last = self._chunk({}, _FINISH[end.finish])
        if usage:
            last += self._shell + b',"choices":[],"usage":' + _encode(usage) + b"}\n\n"
        return last + sse.DONE

    def interrupt(self, fault: Fault, request_id: str = "") -> bytes:
        """Say that the stream broke."""
        return openai_errors.interrupt(fault)

    def whole(self, end: End) -> bytes:
        """Say all of it in one body."""
        message: dict[str, Any] = {"role": "assistant", "content": "".join(self._text) or None, "refusal": None}
        if self._thought:
            message["reasoning_content"] = "".join(self._thought)
        if self._calls:
            message["tool_calls"] = [_whole_call(call) for call in self._calls]
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _FINISH[end.finish]}
        body = {
            "id": f"chatcmpl-{self._head.id}",
            "object": "chat.completion",
            "created": self._head.created,
            "model": self._head.model,
            "choices": [choice],
            "usage": _usage(end.usage or Usage()),
        }
        return _encode(body)

    def _begin(self, identity: str, name: str) -> bytes:
        tool = self._ask.tool(name)
        self._calls.append(Call(identity, name, "", free=bool(tool and tool.free)))
        kind = "custom" if self._calls[-1].free else "function"
        inner = {"name": name, "input" if kind == "custom" else "arguments": ""}
        return self._call({"id": identity, "type": kind, kind: inner})

    def _more(self, text: str) -> bytes:
        call = self._calls[-1]
        call.arguments += text
        return b"" if call.free else self._call({"function": {"arguments": text}})

    def _end(self) -> bytes:
        call = self._calls[-1]
        if not call.free:
            return b""
        call.arguments = unbridged(call.arguments)
        return self._call({"custom": {"input": call.arguments}})

    def _call(self, fields: dict[str, Any]) -> bytes:
        return self._chunk({"tool_calls": [{"index": len(self._calls) - 1, **fields}]})

    def _chunk(self, delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        tail = b',"usage":null}\n\n' if self._usage else b"}\n\n"
        return self._shell + b',"choices":[' + _encode(choice) + b"]" + tail


def unbridged(arguments: str) -> str:
    """Return the free text out of the arguments of the function that stood in for its tool.

    >>> unbridged('{"input": "a"}'), unbridged("a")
    ('a', 'a')
    """
    try:
        given = msgspec.json.decode(arguments)
    except msgspec.DecodeError:
        return arguments
    inner = given.get(BRIDGED) if isinstance(given, dict) else given
    return inner if isinstance(inner, str) else arguments


def _whole_call(call: Call) -> dict[str, Any]:
    if call.free:
        return {"id": call.id, "type": "custom", "custom": {"name": call.name, "input": call.arguments}}
    function = {"name": call.name, "arguments": call.arguments or "{}"}
    return {"id": call.id, "type": "function", "function": function}


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }
