"""Embeddings of a simulated provider."""

import base64
import json

import pytest

from twospeed.upstream.script import Origin, Script
from twospeed.upstream.script.embeddings import EmbeddingVoice

VOICE = EmbeddingVoice()


def answered(**body: object) -> list:
    asked = VOICE.read("/v1/embeddings", json.dumps({"model": "m", **body}).encode())
    return [row["embedding"] for row in json.loads(VOICE.whole(asked, Script(), Origin("s", 1)))["data"]]


def test_the_same_text_has_the_same_vector():
    """One vector for each input, of the length asked for, and of length one."""
    first, second, third = answered(input=["a", "b", "a"], dimensions=3)
    assert first == third != second
    assert sum(value * value for value in first) == pytest.approx(1, abs=1e-4)
    assert len(answered(input=[1, 2])) == 1
    assert len(base64.b64decode(answered(input="a", encoding_format="base64", dimensions=3)[0])) == 12


def test_nothing_to_embed_is_refused():
    """As a provider does."""
    with pytest.raises(ValueError):
        answered(input=[])
    assert list(VOICE.stream(None, Script(), Origin("s", 1), 1)) == []
    assert b"error" in VOICE.error(400, "no")
    assert b"error" in VOICE.error_event("no")
