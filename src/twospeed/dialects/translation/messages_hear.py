"""Messages of a provider -> events. Thinking is kept whole with its signature, for Anthropic may want it back."""

from collections.abc import Iterator
from typing import Any

import msgspec

from twospeed.dialects.translation.hub import Begin, CallBegin, CallMore, Drop, Event, Finish, Keep, Say, Think

FINISH: dict[str, Finish] = {
    "end_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "stop_sequence": "stop_sequence",
    "refusal": "refusal",
    "pause_turn": "pause",
}
_encode = msgspec.json.encode


class MessagesHearer:
    """Listens to one answer."""

    __slots__ = ("_calls", "_signature", "_thought", "stop")

    def __init__(self) -> None:
        self._calls: dict[Any, int] = {}  # index of the block: number of the call
        self._thought: list[str] | None = None  # of the thinking block under way
        self._signature: list[str] = []
        self.stop: str | None = None

    def hear(self, text: bytes) -> Iterator[Event]:
        """Read the data of one event."""
        event: dict[str, Any] = msgspec.json.decode(text)
        match event.get("type"):
            case "message_start":
                message = event.get("message") or {}
                yield Begin(str(message.get("id") or ""), str(message.get("model") or ""))
            case "content_block_start":
                yield from self._start(event.get("index"), event.get("content_block") or {})
            case "content_block_delta":
                yield from self._delta(event.get("index"), event.get("delta") or {})
            case "content_block_stop":
                yield from self._stop()
            case "message_delta":
                self.stop = (event.get("delta") or {}).get("stop_sequence") or self.stop

    def whole(self, body: bytes) -> Iterator[Event]:
        """Read an unstreamed answer."""
        answer: dict[str, Any] = msgspec.json.decode(body)
        self.stop = answer.get("stop_sequence")
        yield Begin(str(answer.get("id") or ""), str(answer.get("model") or ""))
        for index, block in enumerate(answer.get("content") or ()):
            yield from self._start(index, block)
            if block.get("type") == "tool_use":
                yield CallMore(self._calls[index], _encode(block.get("input") or {}).decode())
            yield from self._stop()

    def _start(self, index: Any, block: dict[str, Any]) -> Iterator[Event]:
        match block.get("type"):
            case "tool_use":
                at = self._calls[index] = len(self._calls)
                yield CallBegin(at, str(block.get("id") or ""), str(block.get("name") or ""))
            case "text":
                if block.get("text"):
                    yield Say(str(block["text"]))
            case "thinking":
                self._thought, self._signature = [], [str(block.get("signature") or "")]
                if block.get("thinking"):
                    yield from self._think(str(block["thinking"]))
            case "redacted_thinking":
                yield Keep(_encode(block))
            case other:
                yield Drop(f"output:{other}")

    def _delta(self, index: Any, delta: dict[str, Any]) -> Iterator[Event]:
        match delta.get("type"):
            case "text_delta":
                yield Say(str(delta.get("text") or ""))
            case "input_json_delta":
                if index in self._calls:
                    yield CallMore(self._calls[index], str(delta.get("partial_json") or ""))
            case "thinking_delta":
                yield from self._think(str(delta.get("thinking") or ""))
            case "signature_delta":
                self._signature.append(str(delta.get("signature") or ""))
            case other:
                yield Drop(f"output:{other}")

    def _think(self, text: str) -> Iterator[Event]:
        if self._thought is not None:
            self._thought.append(text)
        yield Think(text)

    def _stop(self) -> Iterator[Event]:
        if self._thought is None:
            return
        signature = "".join(self._signature)
        block = {"type": "thinking", "thinking": "".join(self._thought), "signature": signature}
        self._thought = None
        yield Keep(_encode(block) if signature else b"")
