"""Embeddings: requests and answers."""

import pytest

from twospeed.dialects.openai_embeddings import DIALECT
from twospeed.errors import Fault, Kind
from twospeed.types import Usage


@pytest.mark.parametrize("given", [b'"a"', b'["a","b"]', b"[1,2]", b"[[1],[2]]"])
def test_every_form_of_input_passes(given: bytes):
    """Texts and token numbers, one or several; only the model changes."""
    body = b'{"input":%b, "model":"m","dimensions":3}' % given
    asked = DIALECT.decode(body, "/embeddings")
    assert DIALECT.encode(asked, "e", True) == body.replace(b'"m"', b'"e"')
    assert (DIALECT.declared(asked), DIALECT.opening(asked), asked.stream) == (None, (), False)


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"m"}',
        b'{"model":"m","input":3}',
        b'{"input":"a"}',
        b'{"model":"m","input":%b%b}' % (b"[" * 200, b"]" * 200),
    ],
)
def test_bad_requests_are_refused(body: bytes):
    """What no provider could read is refused here."""
    with pytest.raises(Fault) as caught:
        DIALECT.decode(body, "/embeddings")
    assert caught.value.kind is Kind.BAD_REQUEST


def test_answers_are_read():
    """Usage is noted; what is no list of vectors is a bad answer."""
    assert DIALECT.answer(b'{"data":[],"usage":{"prompt_tokens":7}}').usage == Usage(7)
    for body in (b"<html>", b"{}", b'{"error":{"message":"oh"}}'):
        with pytest.raises(Fault):
            DIALECT.answer(body)
