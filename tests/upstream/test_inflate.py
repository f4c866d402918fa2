"""Compressed bodies, inflated within bounds."""

import gzip
import zlib

import pytest

from twospeed.errors import Fault, Kind
from twospeed.upstream import inflate
from twospeed.upstream.inflate import FREE_OUTPUT, SLICE, Inflater, inflater

TEXT = b"".join(b'data: {"choices":[{"delta":{"content":"word %d"}}]}\n\n' % n for n in range(200))


def raw(data: bytes) -> bytes:
    squeeze = zlib.compressobj(wbits=-15)
    return squeeze.compress(data) + squeeze.flush()


def run(pump: Inflater, *pieces: bytes) -> list[bytes]:
    out: list[bytes] = []
    for piece in pieces:
        pump.push(piece)
        while data := pump.pull():
            out.append(data)
    pump.finish()
    return out


def make(coding: bytes) -> Inflater:
    made = inflater(coding)
    assert made is not None
    return made


PACKED = {
    "gzip": (b"gzip", gzip.compress(TEXT)),
    "x-gzip": (b" X-GZIP", gzip.compress(TEXT)),
    "gzip in two members": (b"gzip", gzip.compress(TEXT[:99]) + gzip.compress(TEXT[99:])),
    "deflate as the RFC has it": (b"deflate", zlib.compress(TEXT)),
    "deflate as some servers send it": (b"deflate", raw(TEXT)),
}


@pytest.mark.parametrize(("coding", "packed"), PACKED.values(), ids=PACKED)
def test_inflates_whole_and_byte_by_byte(coding, packed):
    """A compressed answer reads like a plain one, however it is split."""
    assert b"".join(run(make(coding), packed)) == TEXT
    assert b"".join(run(make(coding), *[packed[at : at + 1] for at in range(len(packed))])) == TEXT


def test_flushed_events_come_out_at_once():
    """A compressed stream is not held up: what the provider flushed can be read."""
    squeeze, pump = zlib.compressobj(wbits=31), make(b"gzip")
    for event in (b"data: 1\n\n", b"data: 2\n\n"):
        pump.push(squeeze.compress(event) + squeeze.flush(zlib.Z_SYNC_FLUSH))
        assert pump.pull() == event
        assert pump.pull() == b""


@pytest.mark.parametrize("size", [SLICE - 1, SLICE, SLICE + 1, 3 * SLICE, 3 * SLICE + 200])
def test_output_comes_in_slices(size):
    """However well a body is compressed, it takes a slice of memory at a time and nothing is lost between two."""
    slices = run(make(b"gzip"), gzip.compress(b"\0" * size))
    assert sum(map(len, slices)) == size
    assert max(map(len, slices)) <= SLICE


def test_empty_body_is_empty():
    """An answer that says gzip and sends nothing is empty."""
    assert run(make(b"gzip")) == []


def test_bomb_is_refused():
    """A body that grows a thousandfold is an attack."""
    bomb = gzip.compress(b"\0" * 64 * FREE_OUTPUT)
    pump = make(b"gzip")
    with pytest.raises(Fault) as caught:
        run(pump, bomb)
    assert caught.value.kind is Kind.PROTOCOL_ERROR
    assert pump.written <= FREE_OUTPUT + inflate.RATIO * len(bomb) + SLICE


def test_endless_body_is_refused(monkeypatch):
    """Even a slow bomb ends somewhere."""
    monkeypatch.setattr(inflate, "OUTPUT_LIMIT", 1_000)
    with pytest.raises(Fault) as caught:
        run(make(b"gzip"), gzip.compress(TEXT))
    assert caught.value.kind is Kind.ANSWER_TOO_LARGE


@pytest.mark.parametrize(
    ("coding", "packed", "kind"),
    [
        (b"gzip", b"not gzip at all", Kind.PROTOCOL_ERROR),
        (b"gzip", gzip.compress(TEXT) + b"garbage", Kind.PROTOCOL_ERROR),
        (b"gzip", gzip.compress(TEXT)[:-8] + b"\0" * 8, Kind.PROTOCOL_ERROR),
        (b"deflate", zlib.compress(TEXT) + b"garbage", Kind.PROTOCOL_ERROR),
        (b"gzip", gzip.compress(TEXT)[:-1], Kind.TRUNCATED),
        (b"deflate", zlib.compress(TEXT)[:20], Kind.TRUNCATED),
    ],
)
def test_broken_compression_is_a_failure(coding, packed, kind):
    """What cannot be inflated to its end was not received."""
    with pytest.raises(Fault) as caught:
        run(make(coding), packed)
    assert caught.value.kind is kind


@pytest.mark.parametrize("coding", [b"br", b"zstd", b"gzip, gzip", b"compress", b"x"])
def test_other_codings_are_refused(coding):
    """We asked for plain bodies; what we cannot read we do not pass on."""
    with pytest.raises(Fault) as caught:
        inflater(coding)
    assert caught.value.kind is Kind.PROTOCOL_ERROR
