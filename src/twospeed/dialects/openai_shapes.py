"""The two shapes of a completion, and one turned into the other, event by event.

Text: `choices[].text`, as OpenAI's `/completions` and DeepSeek's `/beta/completions` answer. Chat: `choices[].delta`, or
`choices[].message` of an answer in one piece, as Mistral's `/fim/completions` does. A choice that already has what is
wanted stays byte for byte, whatever else it has; all other members of a choice or an event are kept.
Source: OpenAI API reference, "Completions (legacy)"; Mistral API reference, "Fill in the middle".
"""

from typing import Any, Literal, NamedTuple

import msgspec

from twospeed.dialects import sse
from twospeed.dialects.openai_answer import UNREADABLE
from twospeed.dialects.openai_errors import interrupt
from twospeed.dialects.openai_stream import StreamReader
from twospeed.errors import Fault, Kind

_UNUSED = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
Shape = Literal["text", "chat"]
Members = dict[str, msgspec.Raw]

_EMPTY = msgspec.Raw(b'""')
_CHAT_KEYS = ("delta", "message")
_OBJECTS = {
    ("text", "delta"): "text_completion",
    ("text", "message"): "text_completion",
    ("chat", "delta"): "chat.completion.chunk",
    ("chat", "message"): "chat.completion",
}


class Head(NamedTuple):
    """What an answer made here calls itself. `created`: seconds since the epoch."""

    id: str
    model: str
    created: int


class Part(msgspec.Struct, gc=False):
    """A piece of content in a list of them."""

    text: str = ""


class Said(msgspec.Struct, gc=False):
    """`delta` or `message`, as far as it becomes text."""

    content: str | list[Part] | None = None

    def text(self) -> str:
        """Return all of its text."""
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content)
        return self.content or ""


_members = msgspec.json.Decoder(Members).decode
_choices: msgspec.json.Decoder[list[Members] | None] = msgspec.json.Decoder(list[Members] | None)
_said: msgspec.json.Decoder[Said | None] = msgspec.json.Decoder(Said | None)
_encode = msgspec.json.Encoder().encode


class ShapedReader(StreamReader):
    """Reads one streamed completion and hands it on in the shape the client's endpoint promises.

    Args:
        convert: The provider's endpoint promises the other shape.
    """

    __slots__ = ("_convert", "_shape")

    def __init__(self, keep_usage: bool, shape: Shape, convert: bool) -> None:
        super().__init__(keep_usage)
        self._shape: Shape = shape
        self._convert = convert

    @property
    def good(self) -> bytes:
        """Whole events of the feed that raised, before what was wrong."""
        return self._shaped(self._good)

    def feed(self, data: bytes) -> bytes:
        """Take bytes, return whole events. Raises: Fault ERROR_EVENT, BAD_ANSWER, ANSWER_TOO_LARGE."""
        return self._shaped(super().feed(data))

    def end(self) -> bytes:
        """Return what is still owed to the client at the end of the body. Raises: Fault TRUNCATED."""
        return self._shaped(super().end())

    def interrupt(self, fault: Fault, request_id: str = "") -> bytes:
        """Say the fault as the event that ends this stream; a newer keystroke ends it without an error."""
        return superseded(self._shape) if fault.kind is Kind.SUPERSEDED else interrupt(fault)

    def _shaped(self, block: bytes) -> bytes:
        if not (block and self._convert):
            return block
        return b"".join(_event(event, self._shape) for event in sse.events(block))


def reshaped(body: bytes, shape: Shape) -> bytes:
    """Return an answer in one piece in this shape."""
    return _converted(body, shape, "message") or body


def superseded(shape: Shape) -> bytes:
    """Return the end of a stream whose editor has typed on: no text, a finish reason of our own, [DONE].

    An error would be shown to a person who no longer waits for this answer, and repeated by clients that retry.
    """
    content = {"text": ""} if shape == "text" else {"delta": {"content": ""}}
    choice = {"index": 0, **content, "finish_reason": Kind.SUPERSEDED.value}
    event = {"id": "superseded", "object": _OBJECTS[shape, "delta"], "created": 0, "model": "", "choices": [choice]}
    return sse.event(_encode(event)) + sse.DONE


def nothing(shape: Shape, stream: bool, head: Head, usage: bool) -> bytes:
    """Return a whole answer without any text, so that an editor goes on working; `usage`: as a stream's last chunk too."""
    content: dict[str, Any] = {"text": "", "logprobs": None}
    if shape == "chat":
        content = {"delta" if stream else "message": {"role": "assistant", "content": ""}}
    kind = _OBJECTS[shape, "delta" if stream else "message"]
    body = {"id": f"cmpl-{head.id}", "object": kind, "created": head.created, "model": head.model}
    choices = [{"index": 0, **content, "finish_reason": "stop"}]
    if not stream:
        return _encode({**body, "choices": choices, "usage": _UNUSED})
    last = sse.event(_encode({**body, "choices": [], "usage": _UNUSED})) if usage else b""
    return sse.event(_encode({**body, "choices": choices})) + last + sse.DONE


def _event(event: sse.Event, shape: Shape) -> bytes:
    converted = _converted(event.data, shape, "delta") if event.data else None
    return sse.event(converted, event.name) if converted else event.raw


def _converted(text: bytes, shape: Shape, key: str) -> bytes | None:
    """Return JSON text with its choices in this shape, None where nothing is to be done."""
    try:
        members = _members(text)
        choices = _choices.decode(members.get("choices", b"null")) or []
        changed = [_as_text(choice) if shape == "text" else _as_chat(choice, key) for choice in choices]
    except UNREADABLE:  # [DONE]
        return None
    if not any(changed):
        return None
    members["choices"] = msgspec.Raw(_encode([new or old for new, old in zip(changed, choices, strict=True)]))
    members["object"] = msgspec.Raw(_encode(_OBJECTS[shape, key]))
    return _encode(members)


def _as_text(choice: Members) -> Members | None:
    if "text" in choice:
        return None
    said = next((_said.decode(choice[key]) for key in _CHAT_KEYS if key in choice), None)
    text = msgspec.Raw(_encode(said.text() if said else ""))
    return {"text": text} | {key: value for key, value in choice.items() if key not in _CHAT_KEYS}


def _as_chat(choice: Members, key: str) -> Members | None:
    if any(known in choice for known in _CHAT_KEYS):
        return None
    said = msgspec.Raw(b'{"role":"assistant","content":%b}' % bytes(choice.get("text", _EMPTY)))
    return {key: said} | {member: value for member, value in choice.items() if member != "text"}
