"""Completions and fill-in-the-middle: `POST /v1/completions`, `/v1/fim/completions`, `/v1/beta/completions`.

One request body at three addresses, answered in two shapes (`openai_shapes`). Where a backend is asked at the client's
own address the body and the answer pass byte for byte, `model` and, where accounting needs it, `stream_options`
excepted. A backend that has another address, or no `suffix`, is asked in its own `Way`.
Source: OpenAI API reference, "Completions (legacy)"; Mistral, "Fill in the middle"; DeepSeek, "FIM completion (beta)".
"""

from collections.abc import Sequence
from typing import Annotated, TypeVar

import msgspec

from twospeed.dialects import Answer, Dialect, Reader, Refusal, Spoken, identity, openai_answer, openai_errors
from twospeed.dialects.body import (
    bad,
    check_utf8,
    encode_name,
    model_name,
    placed,
    read,
    splice,
)
from twospeed.dialects.fim import Family, marked
from twospeed.dialects.openai_answer import EMPTY
from twospeed.dialects.openai_shapes import Head, Shape, ShapedReader, nothing, reshaped
from twospeed.dialects.stream_options import StreamOptions, asking, with_usage
from twospeed.dialects.wishes import stripped, wishes
from twospeed.errors import Fault
from twospeed.types import NULL, Completion, Conversation, Declared, Request

HEAD_BYTES = 256  # of a prompt, by which files are told apart
PLAIN, FIM, BETA = "/completions", "/fim/completions", "/beta/completions"

T = TypeVar("T")
Limit = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)] | None
Prompt = str | list[str | int | list[int]] | None


class View(msgspec.Struct, gc=False):
    """What is read of a request body."""

    model: msgspec.Raw
    prompt: msgspec.Raw
    suffix: msgspec.Raw = NULL
    stream: bool | None = None
    stream_options: StreamOptions | msgspec.UnsetType | None = msgspec.UNSET
    max_tokens: Limit = None
    max_completion_tokens: Limit = None
    prompt_cache_key: msgspec.Raw = NULL
    metadata: msgspec.Raw = NULL
    client_metadata: msgspec.Raw = NULL
    models: msgspec.Raw = NULL
    provider: msgspec.Raw = NULL


class Way(msgspec.Struct, frozen=True):
    """How one backend is asked.

    `path`: below its base_url, "" for the client's own. `suffix`: it knows that field; else `family` folds it into the
    prompt, and without a family nothing may be asked that has one.
    """

    path: str = ""
    suffix: bool = True
    family: Family | None = None


AS_CAME = Way()
_view = msgspec.json.Decoder(View)
_prompt: msgspec.json.Decoder[Prompt] = msgspec.json.Decoder(Prompt)
_text: msgspec.json.Decoder[str | None] = msgspec.json.Decoder(str | None)
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode


class Asking:
    """One request put to one backend in its way; see `dialects.Spoken`."""

    def __init__(self, request: Request, way: Way = AS_CAME) -> None:
        self._own = request.endpoint.removeprefix("/v1")
        self._way = way
        self.upstream_path = way.path or self._own

    def encode(self, request: Request, model: str, account: bool) -> bytes:
        """Return the body: `model` replaced, usage asked for when `account`, a suffix folded in where it must be."""
        completion, way, name = request.completion or Completion(), self._way, encode_name(model)
        ask = account and request.stream and not request.wants_usage
        if way.suffix or (completion.suffix is None and not completion.infill):
            given = _parsed(request).stream_options is not msgspec.UNSET
            at = request.model_at
            body = asking(request.body, at, name, given) if ask else splice(request.body, at, name)
            return body if request.wishes is None else stripped(body)
        members = _members(request.body if request.wishes is None else stripped(request.body))
        members.pop("suffix", None)
        members["model"] = msgspec.Raw(name)
        if completion.infill and way.family is not None:
            _fold(members, completion, way.family)
        if ask:
            members["stream_options"] = msgspec.Raw(with_usage(members.get("stream_options", NULL)))
        return _encode(members)

    def reader(self, request: Request) -> Reader:
        """Return a fresh reader for the streamed answer."""
        return ShapedReader(request.wants_usage, _shape(self._own), self._differs)

    def answer(self, body: bytes) -> Answer:
        """Read an unstreamed answer. Raises: Fault BAD_ANSWER, ERROR_EVENT."""
        answer = openai_answer.answer(body)
        return answer._replace(body=reshaped(body, _shape(self._own))) if self._differs else answer

    @property
    def _differs(self) -> bool:
        return _shape(self.upstream_path) != _shape(self._own)


class OpenAiCompletions:
    """The completions dialect; see `dialects.Dialect`."""

    name = "openai_completions"
    paths: tuple[str, ...] = (PLAIN, FIM, BETA)
    upstream_path = PLAIN
    operation = "text_completion"
    keep_alive = b": keep-alive\n\n"
    served_by: tuple[str, ...] = ("openai_completions",)

    def decode(self, body: bytes, endpoint: str) -> Request:
        """Read a request body. Raises: Fault BAD_REQUEST."""
        check_utf8(body)
        view = read(_view, body)
        model = model_name(view.model)
        at = placed(body, view.model, ((view.prompt, view.prompt), (view.suffix, view.suffix)))
        options = view.stream_options
        return Request(
            self.name,
            endpoint,
            body,
            model,
            at,
            view,
            view.stream is True,
            isinstance(options, StreamOptions) and options.include_usage is True,
            view.max_tokens if view.max_completion_tokens is None else view.max_completion_tokens,
            wishes=wishes(view.models, view.provider),
            completion=_completion(view.prompt, view.suffix, endpoint.endswith(FIM)),
        )

    def declared(self, request: Request) -> Declared | None:
        """Return the session id that the body carries."""
        view = _parsed(request)
        return identity.declared(view.prompt_cache_key, view.metadata, view.client_metadata)

    def opening(self, request: Request) -> Sequence[bytes]:
        """Return the head of the prompt, the same for every keystroke in a file.

        A prompt without a whole head yet is not told apart from others of this client: its text changes with every key.
        """
        prompt = _parsed(request).prompt
        return (bytes(memoryview(prompt)[:HEAD_BYTES]) if len(prompt) >= HEAD_BYTES else b"",)

    def conversation(self, request: Request) -> Conversation:
        """Return what classification may look at."""
        completion = request.completion or Completion()
        return Conversation(
            endpoint=request.endpoint,
            prompt=completion.prompt,
            suffix=completion.suffix or "",
            max_tokens=request.max_tokens,
            stream=request.stream,
            body_bytes=len(request.body),
        )

    def encode(self, request: Request, model: str, account: bool) -> bytes:
        """Return the body for a backend that is asked as the client asks."""
        return Asking(request).encode(request, model, account)

    def reader(self, request: Request) -> Reader:
        """Return a fresh reader for the streamed answer."""
        return Asking(request).reader(request)

    def answer(self, body: bytes) -> Answer:
        """Read an unstreamed answer. Raises: Fault BAD_ANSWER, ERROR_EVENT."""
        return openai_answer.answer(body)

    def nothing(self, request: Request, name: str, created: int) -> bytes:
        """Return an answer without any text, streamed or not; see `dialects.Emptying`."""
        shape, head = _shape(request.endpoint.removeprefix("/v1")), Head(name, request.model, created)
        return nothing(shape, request.stream, head, request.wants_usage)

    def refuse(self, fault: Fault, request_id: str = "") -> Refusal:
        """Say the fault as a whole answer."""
        return openai_errors.refuse(fault)

    def interrupt(self, fault: Fault, request_id: str = "") -> bytes:
        """Say the fault as the event that ends a stream of which nothing is known yet."""
        return openai_errors.interrupt(fault)


DIALECT: Dialect = OpenAiCompletions()


def ask(request: Request, way: Way) -> Spoken:
    """Return how a request is put to a backend in its way."""
    return Asking(request, way)


def _completion(prompt: msgspec.Raw, suffix: msgspec.Raw, fim: bool) -> Completion:
    """Read what stands before and after the cursor. Raises: Fault BAD_REQUEST."""
    before = _decoded(_prompt, prompt, "prompt", "expected a string or an array of strings or tokens")
    after = _decoded(_text, suffix, "suffix", "expected a string")
    whole = isinstance(before, str) or before is None
    text = before if isinstance(before, str) else next((item for item in before or () if isinstance(item, str)), "")
    families = frozenset[str]() if after else marked(text)
    infill = bool(after) or (fim and not families)
    return Completion(text, after, infill, families, whole)


def _decoded(decoder: msgspec.json.Decoder[T], value: msgspec.Raw, field: str, problem: str) -> T:
    try:
        return decoder.decode(value)
    except msgspec.ValidationError:
        raise bad(field, problem) from None


def _parsed(request: Request) -> View:
    assert isinstance(request.parsed, View)
    return request.parsed


def _shape(path: str) -> Shape:
    return "chat" if path == FIM else "text"


def _fold(members: dict[str, msgspec.Raw], completion: Completion, family: Family) -> None:
    """Put prompt and suffix into the one prompt of a family, and stop where it stops unless told where."""
    members["prompt"] = msgspec.Raw(_encode(family.fold(completion.prompt, completion.suffix or "")))
    if bytes(members.get("stop", NULL)) in EMPTY:
        members["stop"] = msgspec.Raw(_encode(family.stop))
