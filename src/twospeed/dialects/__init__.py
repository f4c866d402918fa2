"""Dialects: wire bytes <-> nouns, one file each, found by listing this folder.

A dialect is pure: it reads and writes bytes, knows no clock and no network. The same dialect on both sides passes
bodies through byte for byte, except for the spliced `model` and, where accounting needs it, `include_usage`.
"""

import pkgutil
from collections.abc import Sequence
from importlib import import_module
from typing import NamedTuple, Protocol

from twospeed.errors import Fault
from twospeed.types import Conversation, Declared, Request, Usage


class Refusal(NamedTuple):
    """An answer made here: status, header lines (lower-case names), body."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


class Answer(NamedTuple):
    """What an unstreamed answer says about itself. `usage` is None where the provider sent none."""

    usage: Usage | None
    finish: str


class Reader(Protocol):
    """Reads one streamed answer: bytes in as they come, whole events out, facts on the side.

    `committed`: a first content event has been read (R1). `ended`: the provider finished properly.
    `usage`, `finish`: as far as read. `output_events` / `output_bytes`: content events and bytes forwarded, for an
    estimate where usage never comes.
    """

    committed: bool
    ended: bool
    usage: Usage | None
    finish: str
    output_events: int
    output_bytes: int

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


class Dialect(Protocol):
    """One wire API."""

    name: str  # file name, for example "openai_chat"
    paths: tuple[str, ...]  # request paths without the /v1 prefix
    upstream_path: str  # appended to a provider's base_url
    operation: str  # GenAI operation name

    def decode(self, body: bytes, endpoint: str) -> Request:
        """Read a request body. Raises: Fault BAD_REQUEST, in words that name the field."""

    def declared(self, request: Request) -> Declared | None:
        """Return the session id that the body carries, the most trusted one."""

    def opening(self, request: Request) -> Sequence[bytes]:
        """Return what tells conversations apart, as views: system prompt and first user message; () for none."""

    def conversation(self, request: Request) -> Conversation:
        """Return what classification may look at."""

    def encode(self, request: Request, model: str, account: bool) -> bytes:
        """Return the body for a provider of the same dialect: model spliced, usage asked for when `account`."""

    def reader(self, request: Request) -> Reader:
        """Return a fresh reader for the streamed answer to this request."""

    def answer(self, body: bytes) -> Answer:
        """Read an unstreamed answer. Raises: Fault BAD_ANSWER, ERROR_EVENT (an error body under a good status)."""

    def refuse(self, fault: Fault) -> Refusal:
        """Say the fault in this dialect, before anything was sent."""

    def interrupt(self, fault: Fault) -> bytes:
        """Say the fault as the one event that ends a stream already begun (R11)."""


def discover() -> dict[str, Dialect]:
    """Return every dialect by name, sorted: each file of this folder that defines DIALECT."""
    modules = {found.name: import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)}
    return {name: modules[name].DIALECT for name in sorted(modules) if hasattr(modules[name], "DIALECT")}
