"""Messages streams: which events are content, the end, or a failure, and how a broken one is ended (R11).

Source: Anthropic API reference, "Streaming messages". Input tokens come with message_start, output tokens with
message_delta, where newer models repeat all figures.
"""

import msgspec

from twospeed.dialects import Answer, anthropic_errors
from twospeed.dialects.event_stream import EventReader, foreign
from twospeed.dialects.openai_answer import EMPTY, UNREADABLE
from twospeed.dialects.openai_errors import provider_error
from twospeed.errors import Fault, Kind
from twospeed.types import NULL, Usage

STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
_EMPTY_BLOCKS = frozenset({"text", "thinking"})  # their content comes in deltas


class Tokens(msgspec.Struct, gc=False):
    """`usage`; Anthropic counts what is read from and written to its cache apart."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None

    def usage(self, before: Usage | None = None) -> Usage:
        """Return it as the noun, input with the cache; what is left out is as `before`."""
        known = before or Usage()
        cached, written = self.cache_read_input_tokens or 0, self.cache_creation_input_tokens or 0
        whole = (self.input_tokens or 0) + cached + written
        return Usage(
            whole or known.input_tokens,
            self.output_tokens or known.output_tokens,
            cached or known.cached_tokens,
            cache_write_tokens=written or known.cache_write_tokens,
        )


class Message(msgspec.Struct, gc=False):
    """A message, whole or as it starts."""

    type: str | None = None
    content: msgspec.Raw = NULL
    stop_reason: str | None = None
    usage: msgspec.Raw = NULL
    error: msgspec.Raw = NULL


class Kinded(msgspec.Struct, gc=False):
    """A content block."""

    type: str | None = None


class Delta(msgspec.Struct, gc=False):
    """`delta` of message_delta."""

    stop_reason: str | None = None


class Event(msgspec.Struct, gc=False):
    """What is read of an event."""

    message: Message | None = None
    content_block: Kinded | None = None
    delta: Delta | None = None
    usage: msgspec.Raw = NULL
    error: msgspec.Raw = NULL


_decode_event = msgspec.json.Decoder(Event)
_decode_message = msgspec.json.Decoder(Message)
_decode_tokens: msgspec.json.Decoder[Tokens | None] = msgspec.json.Decoder(Tokens | None)


class MessagesReader(EventReader):
    """Reads one streamed message."""

    quiet = frozenset({"content_block_delta"})
    __slots__ = ()

    def note(self, kind: str, text: bytes) -> None:
        """Take the facts of one event."""
        try:
            event = _decode_event.decode(text)
        except UNREADABLE:
            raise foreign("an event of a wrong shape") from None
        if kind == "error":
            self.told = self.committed
            raise provider_error(event.error)
        if kind == "message_start" and event.message:
            self._count(event.message.usage)
        elif kind == "content_block_start":
            self.committed = self.committed or not event.content_block or event.content_block.type not in _EMPTY_BLOCKS
        elif kind == "message_delta":
            self.finish = (event.delta.stop_reason if event.delta else None) or self.finish
            self._count(event.usage)
        elif kind == "message_stop":
            self.ended = True
        elif "choices" in kind or kind.startswith("response."):
            raise foreign("an event of another API")

    def completion(self) -> bytes:
        """Return the message_stop that a provider forgot after its stop reason. Raises: Fault TRUNCATED."""
        return STOP if self.finish else super().completion()

    def interrupt(self, fault: Fault, request_id: str = "") -> bytes:
        """Say the fault as `event: error`; nothing when the provider has said so itself."""
        return b"" if self.told else anthropic_errors.interrupt(fault, request_id)

    def _count(self, usage: msgspec.Raw) -> None:
        counted = tokens(usage)
        if counted is not None:
            self.usage = counted.usage(self.usage)


def answer(body: bytes) -> Answer:
    """Read an unstreamed message. Raises: Fault BAD_ANSWER, ERROR_EVENT."""
    try:
        whole = _decode_message.decode(body)
    except UNREADABLE:
        raise _unreadable("not a JSON answer") from None
    if whole.type == "error" or bytes(whole.error) not in EMPTY:
        raise provider_error(whole.error)
    if whole.content is NULL:
        raise _unreadable("no content")
    counted = tokens(whole.usage)
    return Answer(counted.usage() if counted else None, whole.stop_reason or "")


def tokens(usage: msgspec.Raw) -> Tokens | None:
    """Read a `usage` block; a provider's odd figures are not worth an answer."""
    try:
        return _decode_tokens.decode(usage)
    except UNREADABLE:
        return None


def _unreadable(why: str) -> Fault:
    return Fault(Kind.BAD_ANSWER, "The provider's answer could not be read.", detail=f"answer: {why}")
