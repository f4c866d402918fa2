"""Anthropic's `POST /v1/messages/count_tokens`: asked of a provider that can, else estimated here and said so."""

from collections.abc import Sequence

import msgspec

from twospeed.dialects import Answer, Dialect, Reader, Refusal, anthropic_errors
from twospeed.dialects.anthropic_messages import DIALECT as MESSAGES
from twospeed.errors import Fault, Kind
from twospeed.types import Conversation, Declared, Request, Usage

BYTES_PER_TOKEN = 4  # of a request body; code and JSON measure 3 to 5


class _Count(msgspec.Struct):
    input_tokens: int


_decode = msgspec.json.Decoder(_Count)
_encode = msgspec.json.Encoder().encode


class AnthropicCountTokens:
    """Token counting; a request reads like one of Messages."""

    name = "anthropic_count_tokens"
    paths: tuple[str, ...] = ("/messages/count_tokens",)
    upstream_path = "/messages/count_tokens"
    operation = "count_tokens"
    keep_alive = b": keep-alive\n\n"
    served_by: tuple[str, ...] = ("anthropic_count_tokens",)

    def decode(self, body: bytes, endpoint: str) -> Request:
        """Read a request body. Raises: Fault BAD_REQUEST."""
        request = MESSAGES.decode(body, endpoint)
        request.dialect, request.stream = self.name, False
        return request

    def declared(self, request: Request) -> Declared | None:
        """Return the session id that the body carries."""
        return MESSAGES.declared(request)

    def opening(self, request: Request) -> Sequence[bytes]:
        """Return the system text and the first user message."""
        return MESSAGES.opening(request)

    def conversation(self, request: Request) -> Conversation:
        """Return what classification may look at."""
        return MESSAGES.conversation(request)

    def encode(self, request: Request, model: str, account: bool) -> bytes:
        """Return the body with `model` replaced."""
        return MESSAGES.encode(request, model, account)

    def reader(self, request: Request) -> Reader:
        """Return what would read a stream; counts are never streamed."""
        return MESSAGES.reader(request)

    def answer(self, body: bytes) -> Answer:
        """Read a count. Raises: Fault BAD_ANSWER."""
        try:
            _decode.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise Fault(Kind.BAD_ANSWER, detail="answer: no count of tokens") from None
        return Answer(Usage(), "")

    def refuse(self, fault: Fault, request_id: str = "") -> Refusal:
        """Say the fault as a whole answer."""
        return anthropic_errors.refuse(fault, request_id)

    def interrupt(self, fault: Fault, request_id: str = "") -> bytes:
        """Say the fault as an event; counts are never streamed."""
        return anthropic_errors.interrupt(fault, request_id)

    def estimate(self, request: Request) -> bytes:
        """Return an answer made here, from the size of the body."""
        return _encode({"input_tokens": max(1, len(request.body) // BYTES_PER_TOKEN)})


DIALECT: Dialect = AnthropicCountTokens()
