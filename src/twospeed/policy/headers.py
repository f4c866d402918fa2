"""Which headers pass, both ways, and what of a query: allow-lists, never deny-lists (R14, R30).

Hop-by-hop headers, those the Connection header nominates, credentials, cookies and forwarding headers are on no list,
so they end here whatever they are called.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

Pair = tuple[bytes, bytes]

_TO_PROVIDER = frozenset({b"user-agent", b"idempotency-key", b"x-session-id", b"x-session-affinity", b"session-id", b"session_id", b"thread-id", b"x-client-request-id", b"x-initiator", b"x-title", b"http-referer"})  # fmt: skip
_TO_PROVIDER_PREFIXES = (b"openai-", b"anthropic-", b"x-stainless-", b"x-codex-")
_BETA = "beta=true"
_MOST_NAMES, _LONGEST_NAME = 512, 64
_MOST_FOUND = 8  # facts about one head
_TO_CLIENT = frozenset({b"content-type", b"request-id", b"retry-after", b"retry-after-ms", b"x-should-retry"})
_TO_CLIENT_PREFIXES = (b"openai-", b"anthropic-", b"x-ratelimit-")


class Headers(dict[bytes, bytes]):
    """A client's headers: names in lower case, values of a repeated name joined with ", ". Not changed once read.

    `found`: what was found out about the head that they are of; None as long as nobody expects it again. The requests of a
    connection that repeat a head share its headers.
    """

    __slots__ = ("found",)

    def __init__(self) -> None:
        self.found: dict[Hashable, Any] | None = None

    def keep(self, key: Hashable, value: Any) -> None:
        """Remember something that follows from this head and the key alone; what was kept before may be forgotten."""
        if self.found is None:
            return
        if len(self.found) >= _MOST_FOUND:
            self.found.clear()
        self.found[key] = value


def to_provider(headers: Mapping[bytes, bytes], extra: frozenset[bytes]) -> Sequence[Pair]:
    """Pick the client's headers that go to a provider; `extra`: what its block adds, in lower case.

    >>> to_provider({b"authorization": b"Bearer x", b"openai-beta": b"1", b"x-a": b"2"}, frozenset({b"x-a"}))
    ((b'openai-beta', b'1'), (b'x-a', b'2'))
    """
    if type(headers) is not Headers or headers.found is None:
        return _picked(headers, extra)
    picked: Sequence[Pair] | None = headers.found.get(extra)
    if picked is None:
        picked = _picked(headers, extra)
        headers.keep(extra, picked)
    return picked


def _picked(headers: Mapping[bytes, bytes], extra: frozenset[bytes]) -> tuple[Pair, ...]:
    nominated = _nominated(headers.get(b"connection"))
    return tuple(
        pair
        for pair in headers.items()
        if (pair[0] in _TO_PROVIDER or pair[0] in extra or pair[0].startswith(_TO_PROVIDER_PREFIXES))
        and pair[0] not in nominated
    )


def query_to_provider(client: str, own: str) -> str:
    """Put what may pass of a client's query behind a provider's own: `beta=true`, as Claude Code asks for Anthropic's beta API.

    Args:
        own: "" or "?" with parameters.

    >>> query_to_provider("beta=true&api-version=9", "?a=b")
    '?a=b&beta=true'
    """
    return f"{own}{'&' if own else '?'}{_BETA}" if _BETA in client.split("&") and _BETA not in own else own


def without_dialect(headers: Iterable[Pair]) -> list[Pair]:
    """Leave out what only a provider of the client's own dialect would understand.

    >>> without_dialect([(b"anthropic-beta", b"a"), (b"user-agent", b"b")])
    [(b'user-agent', b'b')]
    """
    return [pair for pair in headers if not pair[0].startswith(_TO_PROVIDER_PREFIXES)]


def to_client(headers: Iterable[Pair]) -> list[Pair]:
    """Pick a provider's headers that go to the client. Its request id goes on as `x-upstream-request-id`.

    >>> to_client([(b"content-type", b"a/b"), (b"server", b"x"), (b"x-request-id", b"r1")])
    [(b'content-type', b'a/b'), (b'x-upstream-request-id', b'r1')]
    """
    return [(shown, value) for name, value in headers if (shown := _SHOWN[name])]


class _Shown(dict[bytes, bytes]):
    """By a provider's name of a header: the one under which the client gets it, b"" for not at all."""

    def __missing__(self, name: bytes) -> bytes:
        shown = b"x-upstream-request-id" if name == b"x-request-id" else b""
        if name in _TO_CLIENT or name.startswith(_TO_CLIENT_PREFIXES):
            shown = name
        if len(self) < _MOST_NAMES and len(name) <= _LONGEST_NAME:  # names come from outside: bounded
            self[name] = shown
        return shown


_SHOWN = _Shown()


def find(headers: Sequence[Pair], name: bytes) -> bytes:
    """Return the first value of a header, b"" when absent."""
    for key, value in headers:
        if key == name:
            return value
    return b""


def _nominated(connection: bytes | None) -> frozenset[bytes]:
    if not connection or connection in (b"keep-alive", b"close"):
        return frozenset()
    return frozenset(token.strip().lower() for token in connection.split(b","))
