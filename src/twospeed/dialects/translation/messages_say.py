"""Events -> Messages, streamed or whole. Thinking of other providers carries a seal where Anthropic's has a signature."""

from typing import Any

import msgspec

from twospeed.dialects import anthropic_errors, seals
from twospeed.dialects.translation.hub import (
    Ask,
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
from twospeed.dialects.translation.writing import plain_id
from twospeed.errors import Fault
from twospeed.types import Usage

_STOPS: dict[Finish, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
    "stop_sequence": "stop_sequence",
    "refusal": "refusal",
    "pause": "pause_turn",
}
_encode = msgspec.json.encode


class MessagesSpeaker:
    """Says one answer, block after block."""

    def __init__(self, ask: Ask, provider: str, usage: bool) -> None:
        self._provider = provider
        self._blocks: list[dict[str, Any]] = []
        self._said: list[str] = []
        self._open = ""  # type of the block under way

    def begin(self, head: Head) -> bytes:
        """Begin the answer. How much was read is known only at its end."""
        self._head = head
        return _event("message_start", message=self._message([], None, None, Usage()))

    def say(self, event: Event) -> bytes:
        """Say one event."""
        match event:
            case Say(text) if text:
                before = b"" if self._open == "text" else self._start({"type": "text", "text": ""})
                return before + self._delta("text_delta", "text", text)
            case Think(text) if text:
                empty = {"type": "thinking", "thinking": "", "signature": ""}
                before = b"" if self._open == "thinking" else self._start(empty)
                return before + self._delta("thinking_delta", "thinking", text)
            case Keep(block):
                return self._keep(block)
            case CallBegin(_, identity, name):
                return self._start({"type": "tool_use", "id": plain_id(identity), "name": name, "input": {}})
            case CallMore(_, text) if text:
                return self._delta("input_json_delta", "partial_json", text)
            case CallEnd():
                return self._stop()
        return b""

    def end(self, end: End) -> bytes:
        """End the stream."""
        delta = {"stop_reason": _STOPS[end.finish], "stop_sequence": end.stop}
        last = _event("message_delta", delta=delta, usage=_usage(end.usage or Usage()))
        return self._stop() + last + _event("message_stop")

    def interrupt(self, fault: Fault, request_id: str = "") -> bytes:
        """Say that the stream broke."""
        return anthropic_errors.interrupt(fault, request_id)

    def whole(self, end: End) -> bytes:
        """Say all of it in one body."""
        self._stop()
        return _encode(self._message(self._blocks, _STOPS[end.finish], end.stop, end.usage or Usage()))

    def _keep(self, block: bytes) -> bytes:
        """End a thought; one that shows nothing becomes a block that only its provider can read."""
        if self._open == "thinking":
            return self._stop(block)
        if not block:
            return b""
        return self._start({"type": "redacted_thinking", "data": seals.seal(self._provider, block)}) + self._stop()

    def _start(self, block: dict[str, Any]) -> bytes:
        before = self._stop()
        self._open = block["type"]
        self._blocks.append(block)
        return before + _event("content_block_start", index=len(self._blocks) - 1, content_block=block)

    def _delta(self, kind: str, field: str, text: str) -> bytes:
        self._said.append(text)
        return _event("content_block_delta", index=len(self._blocks) - 1, delta={"type": kind, field: text})

    def _stop(self, kept: bytes = b"") -> bytes:
        if not self._open:
            return b""
        block, said = self._blocks[-1], "".join(self._said)
        last = b""
        if self._open == "tool_use":
            block["input"] = _arguments(said)
        elif self._open != "redacted_thinking":
            block[self._open] = said
        if self._open == "thinking":
            block["signature"] = seals.seal(self._provider, kept)
            signed = {"type": "signature_delta", "signature": block["signature"]}
            last = _event("content_block_delta", index=len(self._blocks) - 1, delta=signed)
        self._open, self._said = "", []
        return last + _event("content_block_stop", index=len(self._blocks) - 1)

    def _message(self, content: list[Any], stop: str | None, sequence: str | None, usage: Usage) -> dict[str, Any]:
        return {
            "id": f"msg_{self._head.id}",
            "type": "message",
            "role": "assistant",
            "model": self._head.model,
            "content": content,
            "stop_reason": stop,
            "stop_sequence": sequence,
            "usage": _usage(usage),
        }


def _arguments(text: str) -> Any:
    try:
        given = msgspec.json.decode(text or "{}")
    except msgspec.DecodeError:
        return {"input": text}
    return given if isinstance(given, dict) else {"input": given}


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input_tokens - usage.cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached_tokens,
        "output_tokens": usage.output_tokens,
    }


def _event(kind: str, **fields: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), _encode({"type": kind, **fields}))
