"""Compressed request bodies: gzip and deflate, unpacked within caps (R28); zstd where this Python has it (3.14 on).

A body may grow to the largest size that one may have, and, beyond its first megabyte, to a hundred times what was sent.
Source: RFC 9110 section 8.4, RFC 1950 to 1952, RFC 8878.
"""

import zlib
from importlib import import_module
from importlib.util import find_spec

from twospeed.dialects.body import malformed
from twospeed.errors import Fault, Kind

RATIO = 100  # output to input; JSON of agents measures 4 to 20
FREE_OUTPUT = 1_048_576  # bytes before the ratio counts
_BITS = {b"gzip": 31, b"x-gzip": 31, b"deflate": 15}  # zlib's window bits: 16 more says gzip
_PLAIN = (b"", b"identity")
_WINDOW = (
    24  # as a power of two, in bytes: what a zstd stream may look back, 16 MiB; no level of zstd needs more by default
)
# In the standard library from Python 3.14 on, before that in a package of its own.
_MODULES = [name for name in ("compression", "backports") if find_spec(name) and find_spec(f"{name}.zstd")]
ZSTD = bool(_MODULES)


def check(coding: bytes) -> None:
    """Refuse a Content-Encoding that cannot be unpacked. Raises: Fault UNSUPPORTED_ENCODING."""
    coding = coding.strip().lower()
    if coding in _PLAIN or coding in _BITS or (coding == b"zstd" and ZSTD):
        return
    taken = "gzip, deflate or zstd" if ZSTD else "gzip or deflate"
    raise Fault(Kind.UNSUPPORTED_ENCODING, f"this Content-Encoding is not taken: bodies are taken plain, {taken}")


def unpacked(body: bytes, coding: bytes, limit: int) -> bytes:
    """Return the body behind a Content-Encoding that `check` let through.

    Args:
        limit: Bytes it may have at most.

    Raises: Fault BAD_REQUEST, BODY_TOO_LARGE.
    """
    coding = coding.strip().lower()
    if coding in _PLAIN:
        return body
    most = min(limit, FREE_OUTPUT + RATIO * len(body))
    data, ended = _zstd(body, most) if coding == b"zstd" else _inflated(body, _BITS[coding], most)
    if len(data) > most:
        raise Fault(Kind.BODY_TOO_LARGE, f"The request body is larger than {most} bytes once unpacked.")
    if not ended:
        raise malformed("compressed data that ends early or goes on too long")
    return data


def _inflated(body: bytes, bits: int, most: int) -> tuple[bytes, bool]:
    stream = zlib.decompressobj(bits)
    try:
        data = stream.decompress(body, most + 1)
    except zlib.error:
        raise malformed("not valid in the named Content-Encoding") from None
    return data, stream.eof and not stream.unused_data


def _zstd(body: bytes, most: int) -> tuple[bytes, bool]:
    zstd = import_module(f"{_MODULES[0]}.zstd")
    stream = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _WINDOW})
    try:
        data: bytes = stream.decompress(body, most + 1)
    except zstd.ZstdError:
        raise malformed("not valid in the named Content-Encoding") from None
    return data, stream.eof and not stream.unused_data
