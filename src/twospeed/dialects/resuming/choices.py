"""Streams with `choices`, chat and completions alike: what was said, and one answer made of two."""

from typing import Any

import msgspec

from twospeed.dialects import sse
from twospeed.dialects.resuming.scribe import Scribe
from twospeed.dialects.resuming.seam import Seam
from twospeed.types import Usage

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_HEAD = ("id", "object", "created", "model", "system_fingerprint")
_PLAIN = frozenset({"role", "content"})


class ChoicesScribe(Scribe):
    """Listens to chat chunks or text completions. `head`: what the first event calls the answer; `chat`: its shape."""

    def __init__(self) -> None:
        super().__init__()
        self.head: dict[str, Any] = {}
        self.chat = True

    def note(self, data: bytes) -> None:
        """Take the data of one event."""
        if data == b"[DONE]":
            self.spoil()
            return
        chunk = _decode(data)
        self.head = self.head or {key: chunk[key] for key in _HEAD if key in chunk}
        for choice in chunk.get("choices") or ():
            self._choice(choice)

    def _choice(self, choice: dict[str, Any]) -> None:
        delta = choice.get("delta")
        self.chat = delta is not None
        said = (delta or {}).get("content") if self.chat else choice.get("text")
        other = any(value for key, value in (delta or {}).items() if key not in _PLAIN)
        if choice.get("index") or choice.get("finish_reason") or other or not isinstance(said, str | None):
            self.spoil()
        elif said:
            self.say(said)


class ChoicesSplice:
    """Puts the next backend's events behind those of the first.

    Args:
        shown: The text that the next backend was shown.
        before: What was used until the break.
    """

    def __init__(self, scribe: Scribe, shown: str, before: Usage) -> None:
        assert isinstance(scribe, ChoicesScribe)
        self._head, self._chat = scribe.head, scribe.chat
        self._seam = Seam(scribe.text, shown)
        self._before = before

    def take(self, event: sse.Event) -> bytes:
        """Take one event, return what goes to the client."""
        data = (event.data or b"").strip()
        if data == b"[DONE]":
            return self.flush() + event.raw
        chunk: dict[str, Any] = _decode(data)
        chunk.update((key, value) for key, value in self._head.items() if key in chunk)
        if chunk.get("usage"):
            chunk["usage"] = _added(chunk["usage"], self._before)
        choices = chunk.get("choices") or ()
        held = b"".join(self._choice(choice) for choice in choices)
        worth = not choices or any(_worth(choice) for choice in choices) or chunk.get("usage")
        return held + (sse.event(_encode(chunk)) if worth else b"")

    def flush(self) -> bytes:
        """Return text that was held back."""
        text = self._seam.flush()
        return self._say(text) if text else b""

    def _choice(self, choice: dict[str, Any]) -> bytes:
        """Pass a choice's text through the seam; return what must be said before it."""
        place, key = (choice.get("delta") or {}, "content") if self._chat else (choice, "text")
        place.pop("role", None)
        said = place.get(key)
        if isinstance(said, str) and said:
            place[key] = self._seam.feed(said)
        plain = not any(value for name, value in place.items() if name != key) if self._chat else True
        return b"" if plain and not choice.get("finish_reason") else self.flush()

    def _say(self, text: str) -> bytes:
        said: dict[str, Any] = {"delta": {"content": text}} if self._chat else {"text": text}
        choice = {"index": 0, **said, "finish_reason": None}
        return sse.event(_encode({**self._head, "choices": [choice]}))


def _worth(choice: dict[str, Any]) -> bool:
    return bool(choice.get("finish_reason") or choice.get("text") or any((choice.get("delta") or {}).values()))


def _added(usage: dict[str, Any], before: Usage) -> dict[str, Any]:
    """Return a usage block with what was used before the break."""
    more = {"prompt_tokens": before.input_tokens, "completion_tokens": before.output_tokens}
    more["total_tokens"] = before.input_tokens + before.output_tokens
    return usage | {key: usage[key] + extra for key, extra in more.items() if isinstance(usage.get(key), int)}
