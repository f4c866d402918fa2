"""OpenAI embeddings: `POST /v1/embeddings`. Never streamed, never translated, always the fast tier's business.

Source: OpenAI API reference, "Embeddings".
"""

from collections.abc import Sequence

import msgspec

from twospeed.dialects import Answer, Dialect, Reader, Refusal, depth, openai_errors
from twospeed.dialects.body import (
    bad,
    check_utf8,
    encode_name,
    missing,
    model_name,
    placed,
    read,
    splice,
    too_deep,
)
from twospeed.dialects.openai_answer import EMPTY, UNREADABLE, tokens
from twospeed.dialects.openai_errors import provider_error
from twospeed.dialects.openai_stream import StreamReader
from twospeed.dialects.wishes import stripped, wishes
from twospeed.errors import Fault, Kind
from twospeed.types import NULL, Conversation, Declared, Request


class View(msgspec.Struct, gc=False):
    """What is read of a request body."""

    model: msgspec.Raw
    input: msgspec.Raw = NULL
    models: msgspec.Raw = NULL
    provider: msgspec.Raw = NULL


class Whole(msgspec.Struct, gc=False):
    """An answer, as far as we read it."""

    data: msgspec.Raw = NULL
    usage: msgspec.Raw = NULL
    error: msgspec.Raw = NULL


_view = msgspec.json.Decoder(View)
_whole = msgspec.json.Decoder(Whole)


class OpenAiEmbeddings:
    """The embeddings dialect; see `dialects.Dialect`."""

    name = "openai_embeddings"
    paths: tuple[str, ...] = ("/embeddings",)
    upstream_path = "/embeddings"
    operation = "embeddings"
    keep_alive = b": keep-alive\n\n"
    served_by: tuple[str, ...] = ("openai_embeddings",)

    def decode(self, body: bytes, endpoint: str) -> Request:
        """Read a request body. Raises: Fault BAD_REQUEST."""
        check_utf8(body)
        view = read(_view, body)
        model = model_name(view.model)
        if view.input == NULL:
            raise missing("input")
        if memoryview(view.input)[0] not in b'"[':
            raise bad("input", "expected a string or an array")
        if not depth.shallow((view.input,), depth.LIMIT - 1):
            raise too_deep()
        at = placed(body, view.model, ((view.input, view.input),))
        return Request(self.name, endpoint, body, model, at, view, wishes=wishes(view.models, view.provider))

    def declared(self, request: Request) -> Declared | None:
        """Return nothing: an embedding belongs to no conversation."""
        return None

    def opening(self, request: Request) -> Sequence[bytes]:
        """Return nothing: an embedding belongs to no conversation."""
        return ()

    def conversation(self, request: Request) -> Conversation:
        """Return what classification may look at."""
        return Conversation(endpoint=request.endpoint, body_bytes=len(request.body))

    def encode(self, request: Request, model: str, account: bool) -> bytes:
        """Return the body with `model` replaced."""
        body = splice(request.body, request.model_at, encode_name(model))
        return stripped(body) if request.wishes is not None else body

    def reader(self, request: Request) -> Reader:
        """Return what would read a stream; embeddings are never streamed."""
        return StreamReader(keep_usage=True)

    def answer(self, body: bytes) -> Answer:
        """Read the answer. Raises: Fault BAD_ANSWER, ERROR_EVENT."""
        try:
            whole = _whole.decode(body)
        except UNREADABLE:
            raise Fault(Kind.BAD_ANSWER, detail="answer: not a JSON answer") from None
        if bytes(whole.error) not in EMPTY:
            raise provider_error(whole.error)
        if whole.data is NULL:
            raise Fault(Kind.BAD_ANSWER, detail="answer: no data")
        counted = tokens(whole.usage)
        return Answer(counted.usage() if counted else None, "")

    def refuse(self, fault: Fault, request_id: str = "") -> Refusal:
        """Say the fault as a whole answer."""
        return openai_errors.refuse(fault)

    def interrupt(self, fault: Fault, request_id: str = "") -> bytes:
        """Say the fault as an event; embeddings are never streamed."""
        return openai_errors.interrupt(fault)


DIALECT: Dialect = OpenAiEmbeddings()
