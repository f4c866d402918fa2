"""Compressed bodies: unpacked within caps."""

import gzip
import sys
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
        (b"gzip", gzip.compress(BODY[:100]) + gzip.compress(b"") + gzip.compress(BODY[100:])),
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
        (gzip.compress(BODY) + gzip.compress(BODY)[:-9], 1 << 20, Kind.BAD_REQUEST),
        (gzip.compress(BODY) * 3, 2 * len(BODY), Kind.BODY_TOO_LARGE),
        (gzip.compress(b"") * 1_000, 1 << 20, Kind.BAD_REQUEST),
        (b"no gzip", 1 << 20, Kind.BAD_REQUEST),
        (b"", 1 << 20, Kind.BAD_REQUEST),
    ],
)
def test_bombs_and_fragments_are_refused(packed: bytes, limit: int, kind: Kind):
    """Nothing grows beyond the limit of bodies, or beyond a hundred times its size."""
    with pytest.raises(Fault) as caught:
        unpack.unpacked(packed, b"gzip", limit)
    assert caught.value.kind is kind


def test_other_codings_are_refused():
    """The answer says which ones are taken."""
    with pytest.raises(Fault) as caught:
        unpack.check(b"br")
    assert caught.value.kind is Kind.UNSUPPORTED_ENCODING
    assert "gzip" in caught.value.message


def zstd():
    """The module, on whatever Python this is."""
    return pytest.importorskip("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")


def test_zstd_is_unpacked():
    """What Codex sends is understood."""
    packed = zstd().compress
    unpack.check(b"zstd")
    assert unpack.unpacked(packed(BODY), b"zstd", 1 << 20) == BODY
    assert unpack.unpacked(packed(BODY[:100]) + packed(BODY[100:]), b"zstd", 1 << 20) == BODY


@pytest.mark.parametrize(
    ("packed", "limit", "kind"),
    [
        (lambda z: z.compress(BODY), 100, Kind.BODY_TOO_LARGE),
        (lambda z: z.compress(bytes(300 << 20)), 1 << 40, Kind.BODY_TOO_LARGE),
        (lambda z: z.compress(BODY)[:-1], 1 << 20, Kind.BAD_REQUEST),
        (lambda z: z.compress(BODY) + b"more", 1 << 20, Kind.BAD_REQUEST),
        (lambda z: wide(z), 1 << 30, Kind.BAD_REQUEST),
        (lambda z: b"no zstd", 1 << 20, Kind.BAD_REQUEST),
    ],
)
def test_zstd_bombs_and_fragments_are_refused(packed, limit: int, kind: Kind):
    """The same bounds, and a window that takes no memory to speak of."""
    with pytest.raises(Fault) as caught:
        unpack.unpacked(packed(zstd()), b"zstd", limit)
    assert caught.value.kind is kind


def wide(module) -> bytes:
    """A stream that wants to look back 128 MB."""
    options = {module.CompressionParameter.window_log: 27, module.CompressionParameter.content_size_flag: 0}
    compressor = module.ZstdCompressor(options=options)
    return compressor.compress(BODY) + compressor.flush()
