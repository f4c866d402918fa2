"""Dialects: wire bytes <-> nouns, one file each, found by listing this folder.

A dialect is pure: it reads and writes bytes, knows no clock and no network. The same dialect on both sides passes
bodies through byte for byte, except for the spliced `model` and, where accounting needs it, `include_usage`.
"""

import pkgutil
from collections.abc import Sequence
from importlib import import_module
from typing import NamedTuple, Protocol

from twospeed.dialects.quirks import Quirks
from twospeed.errors import Fault
from twospeed.types import Conversation, Declared, Request, Usage


class Refusal(NamedTuple):
    """An answer made here: status, header lines (lower-case names), body."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


class Answer(NamedTuple):
    """What an unstreamed answer says about itself. `usage` is None where the provider sent none.

    `body`: what the client gets where that is not the provider's own body, else None.
    """

    usage: Usage | None
    finish: str
    body: bytes | None = None


class Reader(Protocol):
    """Reads one streamed answer: bytes in as they come, whole events out, facts on the side.

    `committed`: a first content event has been read (R1). `ended`: the provider finished properly.
    `usage`, `finish`: as far as read. `output_events` / `output_bytes`: content events and bytes forwarded, for an
    estimate where usage never comes.
    """

    @property
    def committed(self) -> bool: ...

    @property
    def ended(self) -> bool: ...

    @property
    def usage(self) -> Usage | None: ...

    @property
    def finish(self) -> str: ...

    @property
    def output_events(self) -> int: ...

    @property
    def output_bytes(self) -> int: ...

    def feed(self, data: bytes) -> bytes:
        """Take bytes as they came and return what goes to the client: whole events only, untouched.

        Raises: Fault ERROR_EVENT (the provider sent an error), BAD_ANSWER (an event that is not of this dialect),
        ANSWER_TOO_LARGE (one event beyond 16 MiB). After a raise the reader is not used again; `good` holds the
        whole events of the same call that came before the bad one.
        """

    @property
    def good(self) -> bytes:
        """Whole events read in the feed that raised, before what was wrong; still owed to the client."""

    def end(self) -> bytes:
        """The body has ended: return what must still be supplied ([DONE] after a finish reason).

        Raises: Fault TRUNCATED when the answer had not finished (R12).
        """

    def interrupt(self, fault: Fault, request_id: str = "") -> bytes:
        """Say the fault as the event that ends this stream (R11); b"" where the provider has said it itself.

        Args:
            request_id: Told where the shape names the request.
        """


class Spoken(Protocol):
    """How a request is put to one provider and its answer is read: the caller's own dialect, or a translation."""

    upstream_path: str  # appended to a provider's base_url

    def encode(self, request: Request, model: str, account: bool) -> bytes:
        """Return the body for the provider: model replaced, usage asked for when `account`. Raises: Fault BAD_REQUEST."""

    def reader(self, request: Request) -> Reader:
        """Return a fresh reader for the streamed answer to this request."""

    def answer(self, body: bytes) -> Answer:
        """Read an unstreamed answer. Raises: Fault BAD_ANSWER, ERROR_EVENT (an error body under a good status)."""


class Dialect(Spoken, Protocol):
    """One wire API. Spoken to a provider of the same dialect, the body stays as it is but for its model."""

    name: str  # file name, for example "openai_chat"
    paths: tuple[str, ...]  # request paths without the /v1 prefix
    operation: str  # GenAI operation name
    keep_alive: bytes  # a whole event that resets a client's idle timer and that every client passes over
    served_by: tuple[str, ...]  # names of provider dialects that can serve it, its own first, then by translation

    def decode(self, body: bytes, endpoint: str) -> Request:
        """Read a request body. Raises: Fault BAD_REQUEST, in words that name the field."""

    def declared(self, request: Request) -> Declared | None:
        """Return the session id that the body carries, the most trusted one."""

    def opening(self, request: Request) -> Sequence[bytes]:
        """Return what tells conversations apart, as views: system prompt and first user message; () for none."""

    def conversation(self, request: Request) -> Conversation:
        """Return what classification may look at."""

    def refuse(self, fault: Fault, request_id: str = "") -> Refusal:
        """Say the fault in this dialect, before anything was sent; `request_id` where its shape names the request."""

    def interrupt(self, fault: Fault, request_id: str = "") -> bytes:
        """Say the fault as the one event that ends a stream already begun (R11)."""


class Estimating(Protocol):
    """A dialect whose answer can be estimated here where no provider gives one."""

    def estimate(self, request: Request) -> bytes:
        """Return the body of such an answer."""


class Emptying(Protocol):
    """A dialect in which an answer may be empty and still be one."""

    def nothing(self, request: Request, name: str, created: int) -> bytes:
        """Return a whole answer without text, streamed where the request asks for a stream.

        Args:
            name: What its id is made of.
            created: Seconds since the epoch.
        """


def bridge(
    dialect: Dialect, request: Request, spoken: frozenset[str], provider: str, quirks: Quirks, seed: str, wall: float
) -> tuple[Spoken, list[str]]:
    """Return how a request of one dialect is put to a provider that speaks only others, and the list of what is dropped.

    The list grows until the answer has been read. Args: see `translation.Translation`.

    Raises: Fault BAD_REQUEST for what cannot be said in another dialect.
    """
    # Loaded with the first request that needs it: most servers never do.
    from twospeed.dialects.translation import translate

    translated = translate(dialect, request, spoken, provider, quirks, seed, wall)
    return translated, translated.dropped


def discover() -> dict[str, Dialect]:
    """Return every dialect by name, sorted: each file of this folder that defines DIALECT."""
    files = [found.name for found in pkgutil.iter_modules(__path__) if not found.ispkg]
    modules = {name: import_module(f"{__name__}.{name}") for name in files}
    return {name: modules[name].DIALECT for name in sorted(modules) if hasattr(modules[name], "DIALECT")}
