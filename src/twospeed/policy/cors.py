"""Web pages as clients: which origins may ask from a browser, and what a browser is told. Off by default.

Source: WHATWG Fetch, "CORS protocol". Credentials are never allowed: keys travel in a header that the page sets itself.
"""

import re
from collections.abc import Collection, Mapping

Pair = tuple[bytes, bytes]

_NAMES = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~-]+(?:\s*,\s*[A-Za-z0-9!#$%&'*+.^_`|~-]+){0,63}")
_EXPOSED = b"retry-after, x-request-id, x-twospeed-tier, x-twospeed-backend, x-twospeed-reason, x-twospeed-attempts"


def welcome(origins: Collection[bytes], headers: Mapping[bytes, bytes]) -> tuple[Pair, ...]:
    """Return the headers that let a page read the answer, () for a page that may not, and for no page at all.

    >>> welcome({b"https://a.example"}, {b"origin": b"https://a.example"})[0]
    (b'access-control-allow-origin', b'https://a.example')
    >>> welcome({b"https://a.example"}, {b"origin": b"https://b.example"})
    ()
    """
    origin = headers.get(b"origin")
    if origin is None or not origins or (origin not in origins and b"*" not in origins):
        return ()
    shown = b"*" if b"*" in origins else origin
    return (b"access-control-allow-origin", shown), (b"access-control-expose-headers", _EXPOSED), (b"vary", b"origin")


def preflight(headers: Mapping[bytes, bytes]) -> tuple[Pair, ...]:
    """Return what a browser wants to know before it lets a page ask; `welcome` goes with it."""
    told = [(b"access-control-allow-methods", b"GET, POST"), (b"access-control-max-age", b"600")]
    names = headers.get(b"access-control-request-headers", b"").strip()
    if _NAMES.fullmatch(names):
        told.append((b"access-control-allow-headers", names))
    return tuple(told)


def stranger(origins: Collection[bytes], headers: Mapping[bytes, bytes]) -> bool:
    """Say whether a web page asks that was never let in; a server without keys must not serve any page a user visits.

    Extensions and editors send an origin of their own scheme, programs none at all.

    >>> [stranger((), {b"origin": origin}) for origin in (b"https://evil.example", b"vscode-webview://x")], stranger((), {})
    ([True, False], False)
    """
    origin = headers.get(b"origin")
    return origin is not None and origin.startswith((b"http://", b"https://")) and not welcome(origins, headers)
