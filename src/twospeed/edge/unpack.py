"""Compressed request bodies: gzip and deflate, unpacked within caps (R28); zstd where this Python has it (3.14 on).

A body may grow to the largest size that one may have, and, beyond its first megabyte, to a hundred times what was sent.
Source: RFC 9110 section 8.4, RFC 1950 to 1952, RFC 8878.
"""

import zlib
from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Protocol

from twospeed.dialects.body import malformed
from twospeed.errors import Fault, Kind

RATIO = 100  # output to input; JSON of agents measures 4 to 20
FREE_OUTPUT = 1_048_576  # bytes before the ratio counts
MEMBERS = 64  # of one body; each may be empty, so their number is bounded as well
_BITS = {b"gzip": 31, b"x-gzip": 31, b"deflate": 15}  # zlib's window bits: 16 more says gzip
_PLAIN = (b"", b"identity")
_WINDOW = (
    24  # as a power of two, in bytes: what a zstd stream may look back, 16 MiB; no level of zstd needs more by default
)
# In the standard library from Python 3.14 on, before that in a package of its own.
_MODULES = [f"{name}.zstd" for name in ("compression", "backports") if find_spec(name) and find_spec(f"{name}.zstd")]
ZSTD = bool(_MODULES)


class Member(Protocol):
    """What unpacks one member of a stream."""

    @property
    def eof(self) -> bool:
        """Whether it has ended."""

    @property
    def unused_data(self) -> bytes:
        """What came behind its end."""

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        """Take packed bytes, return at most so many unpacked ones."""


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
    data = _joined(*_members(coding), body, most)
    if len(data) > most:
        raise Fault(Kind.BODY_TOO_LARGE, f"The request body is larger than {most} bytes once unpacked.")
    return data


def _members(coding: bytes) -> tuple[Callable[[], Member], type[Exception]]:
    """Return what unpacks one member of a stream, and what it raises for bytes that are none."""
    if coding != b"zstd":
        return partial(zlib.decompressobj, _BITS[coding]), zlib.error
    zstd = import_module(_MODULES[0])
    return partial(zstd.ZstdDecompressor, options={zstd.DecompressionParameter.window_log_max: _WINDOW}), zstd.ZstdError


def _joined(member: Callable[[], Member], broken: type[Exception], body: bytes, most: int) -> bytes:
    """Unpack the members (gzip) or frames (zstd) of a body one after the other, up to one byte beyond `most`."""
    data, left = b"", body
    for _ in range(MEMBERS):
        one = member()
        try:
            data += one.decompress(left, most + 1 - len(data))
        except broken:
            raise malformed("not valid in the named Content-Encoding") from None
        left = one.unused_data
        if len(data) > most or (one.eof and not left):
            return data
        if not one.eof:
            break
    raise malformed("compressed data that ends early or goes on too long")
