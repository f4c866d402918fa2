"""Compressed bodies: unpacked within caps."""

import gzip
import zlib

import pytest

from twospeed.edge import unpack
from twospeed.errors import Fault, Kind

BODY = b'{"model": "m"}' * 1_000


@pytest.mark.parametrize(
    ("coding", "packed"),
    [
        (b"gzip", gzip.compress(BODY)),
        (b"X-GZIP ", gzip.compress(BODY)),
        (b"deflate", zlib.compress(BODY)),
        (b"identity", BODY),
        (b"", BODY),
    ],
)
def test_what_was_packed_comes_out(coding: bytes, packed: bytes):
    """gzip and deflate are understood, in any spelling."""
    unpack.check(coding)
    assert unpack.unpacked(packed, coding, 1 << 20) == BODY


@pytest.mark.parametrize(
    ("packed", "limit", "kind"),
    [
        (gzip.compress(BODY), 100, Kind.BODY_TOO_LARGE),
        (gzip.compress(bytes(300 << 20)), 1 << 40, Kind.BODY_TOO_LARGE),
        (gzip.compress(BODY)[:-9], 1 << 20, Kind.BAD_REQUEST),
        (gzip.compress(BODY) + b"more", 1 << 20, Kind.BAD_REQUEST),
        (b"no gzip", 1 << 20, Kind.BAD_REQUEST),
        (b"", 1 << 20, Kind.BAD_REQUEST),
    ],
)
def test_bombs_and_fragments_are_refused(packed: bytes, limit: int, kind: Kind):
    """Nothing grows beyond the limit of bodies, or beyond a hundred times its size."""
    with pytest.raises(Fault) as caught:
        unpack.unpacked(packed, b"gzip", limit)
    assert caught.value.kind is kind


def test_zstd_needs_a_newer_python():
    """Where it cannot be unpacked the answer says why."""
    if unpack.ZSTD:
        unpack.check(b"zstd")
        return
    with pytest.raises(Fault) as caught:
        unpack.check(b"zstd")
    assert caught.value.kind is Kind.UNSUPPORTED_ENCODING
    assert "3.14" in caught.value.message
