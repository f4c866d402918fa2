"""Events -> Responses, streamed or whole. Each item is begun, said and done; the last event repeats all of them."""

from typing import Any

import msgspec

from twospeed.dialects import seals
from twospeed.dialects.openai_responses_stream import Response, failed
from twospeed.dialects.translation.chat_say import unbridged
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
from twospeed.errors import Fault
from twospeed.types import Usage

_INCOMPLETE: dict[Finish, str] = {
    "length": "max_output_tokens",
    "content_filter": "content_filter",
    "refusal": "content_filter",
}
_encode = msgspec.json.encode


class ResponsesSpeaker:
    """Says one answer, item after item."""

    def __init__(self, ask: Ask, provider: str, usage: bool) -> None:
        self._ask = ask
        self._provider = provider
        self._items: list[dict[str, Any]] = []
        self._said: list[str] = []
        self._open = ""  # type of the item under way
        self._number = 0

    def begin(self, head: Head) -> bytes:
        """Begin the answer."""
        self._head = head
        begun = self._response("in_progress", None, None)
        return self._event("created", response=begun) + self._event("in_progress", response=begun)

    def say(self, event: Event) -> bytes:
        """Say one event."""
        match event:
            case Say(text) if text:
                before = b"" if self._open == "message" else self._begin_message()
                return before + self._delta("output_text.delta", text, content_index=0, logprobs=[])
            case Think(text) if text:
                before = b"" if self._open == "reasoning" else self._begin_thought()
                return before + self._delta("reasoning_summary_text.delta", text, summary_index=0)
            case Keep(block):
                before = self._begin_item("reasoning", "rs", summary=[]) if block and self._open != "reasoning" else b""
                return before + (self._end_thought(block) if self._open == "reasoning" else b"")
            case CallBegin(_, identity, name):
                return self._begin_call(identity, name)
            case CallMore(_, text) if text:
                return self._more(text)
            case CallEnd():
                return self._end_item()
        return b""

    def end(self, end: End) -> bytes:
        """End the stream."""
        before = self._end_item()
        reason = _INCOMPLETE.get(end.finish)
        status = "incomplete" if reason else "completed"
        return before + self._event(status, response=self._response(status, reason, end.usage or Usage()))

    def interrupt(self, fault: Fault, request_id: str = "") -> bytes:
        """Say that the stream broke."""
        head = self._head
        known = Response(id=f"resp_{head.id}", created_at=head.created, model=head.model)
        return failed(fault, known, self._number)

    def whole(self, end: End) -> bytes:
        """Say all of it in one body."""
        self._end_item()
        reason = _INCOMPLETE.get(end.finish)
        return _encode(self._response("incomplete" if reason else "completed", reason, end.usage or Usage()))

    def _begin_message(self) -> bytes:
        begun = self._begin_item("message", "msg", role="assistant", content=[])
        return begun + self._at("content_part.added", content_index=0, part=_text(""))

    def _begin_thought(self) -> bytes:
        begun = self._begin_item("reasoning", "rs", summary=[])
        return begun + self._at("reasoning_summary_part.added", summary_index=0, part=_summary(""))

    def _begin_call(self, identity: str, name: str) -> bytes:
        tool = self._ask.tool(name)
        named: dict[str, Any] = {"call_id": identity, "name": tool.name if tool else name}
        if tool and tool.space:
            named["namespace"] = tool.space
        if tool and tool.free:
            return self._begin_item("custom_tool_call", "ctc", **named, input="")
        return self._begin_item("function_call", "fc", **named, arguments="")

    def _more(self, text: str) -> bytes:
        if self._open == "custom_tool_call":  # the text is inside JSON: said once it is whole
            self._said.append(text)
            return b""
        return self._delta("function_call_arguments.delta", text)

    def _begin_item(self, kind: str, prefix: str, **fields: Any) -> bytes:
        before = self._end_item()
        identity = f"{prefix}_{self._head.id}_{len(self._items)}"
        self._open = kind
        self._items.append({"id": identity, "type": kind, "status": "in_progress", **fields})
        added = self._event("output_item.added", output_index=len(self._items) - 1, item=self._items[-1])
        return before + added

    def _delta(self, kind: str, text: str, **fields: Any) -> bytes:
        self._said.append(text)
        return self._at(kind, delta=text, **fields)

    def _end_item(self) -> bytes:
        if not self._open:
            return b""
        if self._open == "reasoning":
            return self._end_thought(b"")
        item, said = self._items[-1], "".join(self._said)
        if self._open == "message":
            item["content"] = [_text(said)]
            last = self._at("output_text.done", content_index=0, text=said, logprobs=[])
            last += self._at("content_part.done", content_index=0, part=_text(said))
        elif self._open == "custom_tool_call":
            item["input"] = unbridged(said)
            last = self._at("custom_tool_call_input.delta", delta=item["input"])
            last += self._at("custom_tool_call_input.done", input=item["input"])
        else:
            item["arguments"] = said or "{}"
            last = self._at("function_call_arguments.done", arguments=item["arguments"], name=item["name"])
        return last + self._done()

    def _end_thought(self, block: bytes) -> bytes:
        item, said = self._items[-1], "".join(self._said)
        last = b""
        if said:
            item["summary"] = [_summary(said)]
            last = self._at("reasoning_summary_text.done", summary_index=0, text=said)
            last += self._at("reasoning_summary_part.done", summary_index=0, part=_summary(said))
        item["encrypted_content"] = seals.seal(self._provider, block)
        return last + self._done()

    def _done(self) -> bytes:
        self._open, self._said = "", []
        self._items[-1]["status"] = "completed"
        return self._event("output_item.done", output_index=len(self._items) - 1, item=self._items[-1])

    def _at(self, kind: str, **fields: Any) -> bytes:
        place = len(self._items) - 1
        return self._event(kind, output_index=place, item_id=self._items[place]["id"], **fields)

    def _event(self, kind: str, **fields: Any) -> bytes:
        name = f"response.{kind}"
        data = _encode({"type": name, "sequence_number": self._number, **fields})
        self._number += 1
        return b"event: %b\ndata: %b\n\n" % (name.encode(), data)

    def _response(self, status: str, reason: str | None, usage: Usage | None) -> dict[str, Any]:
        return {
            "id": f"resp_{self._head.id}",
            "object": "response",
            "created_at": self._head.created,
            "status": status,
            "background": False,
            "error": None,
            "incomplete_details": {"reason": reason} if reason else None,
            "instructions": None,
            "max_output_tokens": self._ask.max_tokens,
            "model": self._head.model,
            "output": self._items,
            "parallel_tool_calls": self._ask.parallel is not False,
            "previous_response_id": None,
            "reasoning": {"effort": self._ask.effort or None, "summary": None},
            "store": False,
            "temperature": self._ask.temperature,
            "text": {"format": {"type": "text"}},
            "tool_choice": "auto",
            "tools": [],
            "top_p": self._ask.top_p,
            "truncation": "disabled",
            "usage": _usage(usage) if usage else None,
            "metadata": {},
        }


def _text(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _summary(text: str) -> dict[str, Any]:
    return {"type": "summary_text", "text": text}


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }
