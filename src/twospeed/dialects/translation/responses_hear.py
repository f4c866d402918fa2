"""Responses of a provider -> events. Reasoning items are kept whole, for their provider may want them back."""

from collections.abc import Iterator
from typing import Any

import msgspec

from twospeed.dialects.translation.hub import (
    BRIDGED,
    Begin,
    CallBegin,
    CallMore,
    Drop,
    Event,
    Finish,
    Keep,
    Say,
    Think,
)

FINISH: dict[str, Finish] = {
    "completed": "stop",
    "max_output_tokens": "length",
    "incomplete": "length",
    "content_filter": "content_filter",
}
_CALLS = frozenset({"function_call", "custom_tool_call"})
_SAID = frozenset({"response.output_text.delta", "response.refusal.delta"})
_THOUGHT = frozenset({"response.reasoning_summary_text.delta", "response.reasoning_text.delta"})
_encode = msgspec.json.encode


class Item(msgspec.Struct):
    """The item of an event, as it came."""

    item: msgspec.Raw


_decode_item = msgspec.json.Decoder(Item)


class ResponsesHearer:
    """Listens to one answer."""

    __slots__ = ("_calls", "_said", "stop")

    def __init__(self) -> None:
        self._calls: dict[Any, int] = {}  # place in the output: number of the call
        self._said: set[Any] = set()  # places of which deltas came
        self.stop: str | None = None

    def hear(self, text: bytes) -> Iterator[Event]:
        """Read the data of one event."""
        event: dict[str, Any] = msgspec.json.decode(text)
        kind, place = event.get("type", ""), event.get("output_index")
        if kind == "response.created":
            response = event.get("response") or {}
            yield Begin(str(response.get("id") or ""), str(response.get("model") or ""))
        elif kind in _SAID:
            self._said.add(place)
            yield Say(str(event.get("delta") or ""))
        elif kind in _THOUGHT:
            self._said.add(place)
            yield Think(str(event.get("delta") or ""))
        elif kind == "response.reasoning_summary_part.added" and event.get("summary_index"):
            yield Think("\n\n")
        elif kind == "response.function_call_arguments.delta":
            self._said.add(place)
            yield CallMore(self._calls.get(place, 0), str(event.get("delta") or ""))
        elif kind == "response.output_item.added":
            yield from self._added(place, event.get("item") or {})
        elif kind == "response.output_item.done":
            yield from self._done(place, event.get("item") or {}, bytes(_decode_item.decode(text).item))

    def whole(self, body: bytes) -> Iterator[Event]:
        """Read an unstreamed answer."""
        answer: dict[str, Any] = msgspec.json.decode(body)
        yield Begin(str(answer.get("id") or ""), str(answer.get("model") or ""))
        for place, item in enumerate(answer.get("output") or ()):
            yield from self._added(place, item)
            yield from self._done(place, item, _encode(item))

    def _added(self, place: Any, item: dict[str, Any]) -> Iterator[Event]:
        if item.get("type") in _CALLS:
            at = self._calls[place] = len(self._calls)
            yield CallBegin(at, str(item.get("call_id") or item.get("id") or ""), str(item.get("name") or ""))

    def _done(self, place: Any, item: dict[str, Any], raw: bytes) -> Iterator[Event]:
        """Read a whole item: what its deltas left out, and what only now is known."""
        kind, fresh = item.get("type"), place not in self._said
        if kind in _CALLS and place not in self._calls:
            yield from self._added(place, item)
        if kind == "function_call" and fresh:
            yield CallMore(self._calls[place], str(item.get("arguments") or ""))
        elif kind == "custom_tool_call":
            bridged = _encode({BRIDGED: str(item.get("input") or "")}).decode()
            yield CallMore(self._calls[place], bridged)
        elif kind == "reasoning":
            shown = [str(part.get("text") or "") for part in item.get("summary") or item.get("content") or ()]
            if fresh and any(shown):
                yield Think("\n\n".join(shown))
            yield Keep(raw if item.get("encrypted_content") else b"")
        elif kind == "message" and fresh:
            for part in item.get("content") or ():
                yield Say(str(part.get("text") or part.get("refusal") or ""))
        elif kind not in ("message", *_CALLS):
            yield Drop(f"output:{kind}")
