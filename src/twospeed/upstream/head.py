"""The head of a request to a provider, built from parsed values only, so that nothing can be smuggled (R26, R30).

What frames the message or names the peer (RESERVED) is written here and nowhere else; a caller that brings such a
field, a broken name, or a CR, LF, NUL or other control character anywhere is refused: that is a bug or a
misconfiguration of ours, because the edge lets none of it in. Source: RFC 9112, RFC 9110 section 5.6.2.
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from twospeed.errors import Fault, Kind

RESERVED = frozenset(
    {
        b"connection",
        b"content-length",
        b"expect",
        b"host",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)

_TOKEN = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_TEXT = b"\t" + bytes(byte for byte in range(0x20, 0x100) if byte != 0x7F)
_START = re.compile(r"[A-Z]+ /[!-~]* HTTP/1\.1\r\n")
_KNOWN_LIMIT = 1_024
_known: set[bytes] = set()  # names found good, so that each is looked at once; clients can invent some, hence a limit


def build_head(
    method: str, path: str, host: bytes, headers: Sequence[tuple[bytes, bytes]], length: int, origin: str = ""
) -> bytes:
    """Return the head, blank line included.

    Args:
        path: Request target in origin form, visible ASCII, from "/" on.
        host: Value of the Host field, port included where it is not the scheme's own.
        headers: Names in lower case; written as they are, after our own.
        length: Bytes of the body that follows.
        origin: http://host[:port], put before the path for a proxy that passes the request on.

    Raises:
        Fault: INTERNAL, for anything that must not go on the wire.
    """
    names = dict(headers)
    if not _known.issuperset(names):
        _learn(names)
    given = b"\r\n".join([b"", *map(b": ".join, headers)])
    if given.translate(None, _TEXT) != b"\r\n" * len(headers):
        raise Fault(Kind.INTERNAL, detail="request refused: a header value holds a control character")
    coding = b"" if b"accept-encoding" in names else b"\r\naccept-encoding: identity"
    return b"%b%d%b%b\r\n\r\n" % (_start(method, path, host, origin), length, coding, given)


@lru_cache(maxsize=256)
def _start(method: str, path: str, host: bytes, origin: str) -> bytes:
    if not _START.fullmatch(f"{method} {path} HTTP/1.1\r\n"):
        raise Fault(Kind.INTERNAL, detail="request refused: the path is not visible ASCII from '/' on")
    line = f"{method} {origin}{path} HTTP/1.1\r\n"
    return b"%bhost: %b\r\nconnection: keep-alive\r\ncontent-length: " % (line.encode("ascii"), host)


def _learn(names: Iterable[bytes]) -> None:
    for name in names:
        if not name or name.translate(None, _TOKEN):
            raise Fault(Kind.INTERNAL, detail="request refused: a header name is not a token")
        if name.lower() in RESERVED:
            raise Fault(
                Kind.INTERNAL, detail=f"request refused: {name.decode('ascii').lower()} is the engine's to write"
            )
        if len(_known) < _KNOWN_LIMIT:
            _known.add(name)
