"""Messages streams: what was said, and one message made of two. The next backend's first text goes on in the open block."""

from typing import Any

import msgspec

from twospeed.dialects import sse
from twospeed.dialects.resuming.scribe import Scribe, kept
from twospeed.dialects.resuming.seam import Seam
from twospeed.types import Usage

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_QUIET = frozenset({"message_start", "ping"})


class MessagesScribe(Scribe):
    """Listens to one message. `block`: index of the text block that is open, None for none."""

    def __init__(self) -> None:
        super().__init__()
        self.block: int | None = None

    def note(self, data: bytes) -> None:
        """Take the data of one event."""
        event = _decode(data)
        match event["type"]:
            case "content_block_start" if event["content_block"]["type"] == "text" and type(event["index"]) is int:
                self.block = event["index"]
                self.say(event["content_block"].get("text") or "")
            case "content_block_delta" if event["delta"]["type"] == "text_delta" and event["index"] == self.block:
                self.say(event["delta"]["text"])
            case "error":
                return
            case kind if kind not in _QUIET:
                self.spoil()

    def owed(self, block: bytes) -> bytes:
        """Return what of the events before a break is still for the client: all but the provider's own error."""
        return kept(block, lambda event: event.name != b"error")


class MessagesSplice:
    """Puts the next backend's events behind those of the first; see `choices.ChoicesSplice`."""

    def __init__(self, scribe: Scribe, shown: str, before: Usage) -> None:
        assert isinstance(scribe, MessagesScribe)
        assert scribe.block is not None
        self._block = scribe.block
        self._seam = Seam(scribe.text, shown)
        self._before = before
        self._joined: int | None = None  # the next backend's block that goes on in the open one
        self._shift: int | None = None  # from its numbers to the client's

    def take(self, raw: sse.Event) -> bytes:
        """Take one event, return what goes to the client."""
        event: dict[str, Any] = _decode(raw.data or b"")
        kind = event["type"]
        if kind == "message_start":
            return b""
        if kind == "content_block_start" and self._shift is None:
            return self._first(event)
        if kind.startswith("content_block_"):
            return self._numbered(event)
        if kind == "message_delta":
            return self._last(event)
        return raw.raw

    def flush(self) -> bytes:
        """Return text that was held back."""
        text = self._seam.flush()
        return self._delta(text) if text else b""

    def _first(self, event: dict[str, Any]) -> bytes:
        """Join its first block to the open one where it is text, else close that one."""
        if event["content_block"]["type"] == "text":
            self._joined, self._shift = event["index"], self._block - event["index"]
            said = self._seam.feed(event["content_block"].get("text") or "")
            return self._delta(said) if said else b""
        self._shift = self._block + 1 - event["index"]
        event["index"] += self._shift
        return self.flush() + _event({"type": "content_block_stop", "index": self._block}) + _event(event)

    def _numbered(self, event: dict[str, Any]) -> bytes:
        joined = event["index"] == self._joined
        event["index"] += self._shift or 0
        if joined and event["type"] == "content_block_stop":
            return self.flush() + _event(event)
        if joined and event["delta"]["type"] == "text_delta":
            said = self._seam.feed(event["delta"]["text"])
            return self._delta(said) if said else b""
        return _event(event)

    def _last(self, event: dict[str, Any]) -> bytes:
        before = b"" if self._shift is not None else _event({"type": "content_block_stop", "index": self._block})
        usage = event.get("usage")
        if usage:
            more = {"input_tokens": self._before.input_tokens, "output_tokens": self._before.output_tokens}
            event["usage"] = usage | {key: usage[key] + n for key, n in more.items() if isinstance(usage.get(key), int)}
        return self.flush() + before + _event(event)

    def _delta(self, text: str) -> bytes:
        delta = {"type": "text_delta", "text": text}
        return _event({"type": "content_block_delta", "index": self._block, "delta": delta})


def _event(event: dict[str, Any]) -> bytes:
    return sse.event(_encode(event), event["type"].encode())
