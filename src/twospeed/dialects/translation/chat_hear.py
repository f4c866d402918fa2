"""Chat completions of a provider -> events. Reads what servers of that API really send, not only what OpenAI does."""

from collections.abc import Iterator
from typing import Any

import msgspec

from twospeed.dialects.translation.hub import Begin, CallBegin, CallMore, Event, Finish, Say, Think

FINISH: dict[str, Finish] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}


class ChatHearer:
    """Listens to one answer."""

    __slots__ = ("_begun", "_calls", "_last", "stop")

    def __init__(self) -> None:
        self._begun = False
        self._calls: dict[Any, int] = {}  # the provider's index: ours
        self._last = -1
        self.stop: str | None = None

    def hear(self, text: bytes) -> Iterator[Event]:
        """Read the data of one event."""
        chunk: dict[str, Any] = msgspec.json.decode(text)
        choices = chunk.get("choices") or ()
        if not self._begun:
            self._begun = True
            yield Begin(str(chunk.get("id") or ""), str(chunk.get("model") or ""))
        if choices:
            yield from self._said(choices[0].get("delta") or {})

    def whole(self, body: bytes) -> Iterator[Event]:
        """Read an unstreamed answer."""
        answer: dict[str, Any] = msgspec.json.decode(body)
        yield Begin(str(answer.get("id") or ""), str(answer.get("model") or ""))
        choices = answer.get("choices") or ()
        if choices:
            yield from self._said(choices[0].get("message") or {})

    def _said(self, delta: dict[str, Any]) -> Iterator[Event]:
        thought = delta.get("reasoning_content") or delta.get("reasoning")
        if thought and isinstance(thought, str):
            yield Think(thought)
        content = delta.get("content")
        if isinstance(content, list):
            yield from _parts(content)
        elif content:
            yield Say(str(content))
        if delta.get("refusal"):
            yield Say(str(delta["refusal"]))
        calls = delta.get("tool_calls") or ()
        for call in calls if isinstance(calls, list) else ():
            yield from self._call(call)
        legacy = delta.get("function_call")
        if isinstance(legacy, dict):
            yield from self._call({"index": "legacy", "function": legacy})

    def _call(self, call: dict[str, Any]) -> Iterator[Event]:
        function = call.get("function") or call.get("custom") or {}
        index = call.get("index")
        if index is None:  # some servers number nothing: an id is a new call, none is the last one
            index = call.get("id") or (next(reversed(self._calls)) if self._calls else 0)
        at = self._calls.get(index)
        if at is None:
            at = self._calls[index] = len(self._calls)
            yield CallBegin(at, str(call.get("id") or ""), str(function.get("name") or ""))
        arguments = function.get("arguments")
        if arguments is None and "input" in function:
            arguments = {"input": function["input"]}
        if isinstance(arguments, dict):
            arguments = msgspec.json.encode(arguments).decode()
        if arguments:
            yield CallMore(at, str(arguments))


def _parts(content: list[Any]) -> Iterator[Event]:
    """Content in parts, as Mistral's reasoning models send it."""
    for part in content:
        if not isinstance(part, dict):
            continue
        if part.get("type") == "thinking":
            inner = part.get("thinking")
            told = inner if isinstance(inner, str) else "".join(str(one.get("text", "")) for one in inner or ())
            if told:
                yield Think(told)
        elif part.get("text"):
            yield Say(str(part["text"]))
