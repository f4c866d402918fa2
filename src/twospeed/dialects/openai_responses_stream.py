"""Responses streams: which events are content, the end, or a failure, and how a broken one is ended (R11).

Source: OpenAI API reference, "Streaming events" of Responses; Codex reads `response.failed` and its code.
"""

import msgspec

from twospeed.dialects import Answer
from twospeed.dialects.event_stream import EventReader, foreign
from twospeed.dialects.openai_answer import EMPTY, UNREADABLE, Cached, Reasoned
from twospeed.dialects.openai_errors import provider_error
from twospeed.errors import Fault, Kind
from twospeed.types import NULL, Usage

_encode = msgspec.json.Encoder().encode
_EMPTY_ITEMS = frozenset({"message", "reasoning"})  # their content comes in events of its own
_DONE = frozenset({"response.completed", "response.incomplete"})
_CODES = {
    Kind.RATE_LIMITED: "rate_limit_exceeded",
    Kind.PROVIDER_RATE_LIMITED: "rate_limit_exceeded",
    Kind.CONTEXT_TOO_LONG: "context_length_exceeded",
}


class Tokens(msgspec.Struct, gc=False):
    """`usage` of a response."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    input_tokens_details: Cached | None = None
    output_tokens_details: Reasoned | None = None

    def usage(self) -> Usage:
        """Return it as the noun; what the provider left out is 0."""
        cached, reasoned = self.input_tokens_details, self.output_tokens_details
        return Usage(
            self.input_tokens or 0,
            self.output_tokens or 0,
            (cached.cached_tokens or 0) if cached else 0,
            (reasoned.reasoning_tokens or 0) if reasoned else 0,
            cache_write_tokens=(cached.cache_write_tokens or 0) if cached else 0,
        )


class Reason(msgspec.Struct, gc=False):
    """`incomplete_details`."""

    reason: str | None = None


class Response(msgspec.Struct, gc=False):
    """A response, whole or at some point of its stream, as far as we read it."""

    id: str | None = None
    object: str | None = None
    created_at: float | None = None
    model: str | None = None
    status: str | None = None
    error: msgspec.Raw = NULL
    incomplete_details: Reason | None = None
    usage: msgspec.Raw = NULL

    def finish(self) -> str:
        """Say why it ended."""
        if self.incomplete_details and self.incomplete_details.reason:
            return self.incomplete_details.reason
        return self.status or "completed"

    def tokens(self) -> Usage | None:
        """Return its usage; odd figures are not worth an answer."""
        try:
            tokens = _decode_tokens.decode(self.usage)
        except UNREADABLE:
            return None
        return tokens.usage() if tokens else None


class Kinded(msgspec.Struct, gc=False):
    """An output item."""

    type: str | None = None


class Event(msgspec.Struct, gc=False):
    """What is read of an event."""

    response: Response | None = None
    item: Kinded | None = None
    error: msgspec.Raw = NULL


_decode_event: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
_decode_response: msgspec.json.Decoder[Response] = msgspec.json.Decoder(Response)
_decode_tokens: msgspec.json.Decoder[Tokens | None] = msgspec.json.Decoder(Tokens | None)


class ResponsesReader(EventReader):
    """Reads one streamed response. Keeps of it what its failure must repeat: id, model, time."""

    quiet = frozenset(
        {
            "response.output_text.delta",
            "response.refusal.delta",
            "response.function_call_arguments.delta",
            "response.custom_tool_call_input.delta",
            "response.reasoning_text.delta",
            "response.reasoning_summary_text.delta",
        }
    )
    __slots__ = ("_head",)

    def __init__(self) -> None:
        super().__init__()
        self._head = Response()

    def note(self, kind: str, text: bytes) -> None:
        """Take the facts of one event."""
        try:
            event = _decode_event.decode(text)
        except UNREADABLE:
            raise foreign("an event of a wrong shape") from None
        if kind == "error":
            self._failed(event.error if event.error is not NULL else msgspec.Raw(text))
        response = event.response
        if response is not None:
            self._head = response if response.id else self._head
        if kind == "response.failed":
            self._failed(response.error if response else NULL)
        elif kind in _DONE and response is not None:
            self.usage, self.finish, self.ended = response.tokens(), response.finish(), True
        elif kind.startswith("response.output_item."):
            self.committed = self.committed or not event.item or event.item.type not in _EMPTY_ITEMS
        elif kind.endswith(".delta"):
            self.committed = True
            self.output_events += 1

    def interrupt(self, fault: Fault, request_id: str = "") -> bytes:
        """Say the fault as `response.failed` of the same response; nothing when the provider has said so itself."""
        return b"" if self.told else failed(fault, self._head, self.sequence + 1)

    def _failed(self, error: msgspec.Raw) -> None:
        self.told = self.committed
        raise provider_error(error)


def failed(fault: Fault, head: Response, sequence: int) -> bytes:
    """Return the event that ends a stream; `head`: what is known of the response."""
    error = {"code": _CODES.get(fault.kind, "server_error"), "message": fault.message}
    response = {
        "id": head.id or "resp_0",
        "object": "response",
        "created_at": int(head.created_at or 0),
        "status": "failed",
        "background": False,
        "error": error,
        "incomplete_details": None,
        "model": head.model or "",
        "output": [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": None,
        "metadata": {},
    }
    event = {"type": "response.failed", "sequence_number": sequence, "response": response}
    return b"event: response.failed\ndata: " + _encode(event) + b"\n\n"


def answer(body: bytes) -> Answer:
    """Read an unstreamed response. Raises: Fault BAD_ANSWER, ERROR_EVENT."""
    try:
        whole = _decode_response.decode(body)
    except UNREADABLE:
        raise _unreadable("not a JSON answer") from None
    if bytes(whole.error) not in EMPTY or whole.status == "failed":
        raise provider_error(whole.error)
    if whole.status is None and whole.object is None:
        raise _unreadable("not a response")
    return Answer(whole.tokens(), whole.finish())


def _unreadable(why: str) -> Fault:
    return Fault(Kind.BAD_ANSWER, "The provider's answer could not be read.", detail=f"answer: {why}")
