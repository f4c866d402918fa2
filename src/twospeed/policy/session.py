"""Who is calling: the session key of a request, from what real clients send, in order of trust.

The key is scoped by the caller, so that one caller can never join the session of another, and it is a digest, so
that the record holds no id a client chose. Source of the order: docs/clients.md.
"""

import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from twospeed.types import Declared

# Header names in order of trust. A title call of opencode and Kilo shares its session under a `title-` prefix.
_HEADERS = (
    b"x-twospeed-session",
    b"x-claude-code-session-id",
    b"session-id",
    b"session_id",
    b"thread-id",
    b"x-session-id",
    b"x-session-affinity",
    b"x-litellm-session-id",
    b"x-conversation-id",
    b"x-model-affinity",
)
_NAMED = frozenset(_HEADERS)
_NAMES = {name: name.decode() for name in _HEADERS}
_EDGE = 512  # bytes of each end of a part that are read, its length besides: enough to tell conversations apart
_BOTH = 2 * _EDGE


class Session(NamedTuple):
    """`key`: 16 hex digits, "" when nothing tells sessions apart. `source`: what it was derived from."""

    key: str
    source: str


NOBODY = Session("", "none")


def identify(
    caller: str, headers: Mapping[bytes, bytes], declared: Declared | None, opening: Sequence[bytes]
) -> Session:
    """Name the session of a request.

    Args:
        caller: Name of the caller's key.
        headers: Lower-case names.
        declared: What the body says about it.
        opening: How the conversation starts: system prompt and first user message; () when it has none.

    >>> identify("ann", {b"x-session-id": b"title-7"}, None, ()) == identify("ann", {b"x-session-id": b"7"}, None, ())
    True
    """
    return named(caller, headers, declared) or opened(caller, headers, opening)


def named(caller: str, headers: Mapping[bytes, bytes], declared: Declared | None) -> Session | None:
    """Return the session that the client names itself, None where it names none."""
    if not _NAMED.isdisjoint(headers):
        for name in _HEADERS:
            value = headers.get(name)
            if value:
                return Session(_digest(caller, value.removeprefix(b"title-")), _NAMES[name])
    return Session(_digest(caller, declared.id.encode()), declared.source) if declared else None


def opened(caller: str, headers: Mapping[bytes, bytes], opening: Sequence[bytes]) -> Session:
    """Return the session that a conversation with this opening belongs to."""
    if not opening:
        return NOBODY
    # Cline takes up a session in a terminal under another runtime than it began with; the AI SDK names it last.
    agent = headers.get(b"user-agent", b"").partition(b" runtime/")[0]
    return Session(_digest(caller, agent + b"\n" + bounded(opening)), "opening")


def bounded(parts: Sequence[bytes]) -> bytes:
    """Reduce the start of a conversation to bounded bytes that still tell it apart.

    >>> bounded([b"a" * 10_000]) == bounded([b"a" * 10_001])
    False
    """
    return b"\n".join(
        [b"%d:%b" % (n, p) if (n := len(p)) <= _BOTH else b"%d:%b%b" % (n, p[:_EDGE], p[-_EDGE:]) for p in parts]
    )


@lru_cache(maxsize=1_024)
def _person(caller: str) -> bytes:
    return hashlib.blake2b(caller.encode(), digest_size=16).digest()


def _digest(caller: str, identity: bytes) -> str:
    return hashlib.blake2b(identity, digest_size=8, person=_person(caller)).hexdigest()
