"""Unstreamed answers: what they say about themselves, and which are none."""

import pytest

from twospeed.dialects import Answer
from twospeed.dialects.openai_answer import answer
from twospeed.errors import Fault, Kind
from twospeed.types import Usage

CHOICES = b'"choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}]'


@pytest.mark.parametrize(
    ("usage", "read"),
    [
        (b"null", None),
        (b'{"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}', Usage(9, 3)),
        (
            b'{"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4},'
            b' "completion_tokens_details": {"reasoning_tokens": 2}}',
            Usage(9, 3, 4, 2),
        ),
        (b'{"prompt_tokens": null, "prompt_tokens_details": null}', Usage()),
        (b'{"prompt_tokens": "many"}', None),
        (b"[]", None),
    ],
)
def test_usage_is_read_where_it_can_be(usage: bytes, read: Usage | None):
    """Tokens are counted as the provider counts them; odd figures do not spoil an answer."""
    assert answer(b'{"id": "a", ' + CHOICES + b', "usage": ' + usage + b"}") == Answer(read, "stop")


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b'{"id": 1}', b'{"choices": 1}', b"[" * 9_000])
def test_anything_else_is_a_bad_answer(body: bytes):
    """HTML, other JSON and other APIs under a good status are the provider's fault."""
    with pytest.raises(Fault) as caught:
        answer(body)
    assert caught.value.kind is Kind.BAD_ANSWER


@pytest.mark.parametrize(
    "body",
    [
        b'{"error": {"message": "no capacity", "code": 503}}',
        b'{"error": "no capacity", "choices": null}',
        b'{"object": "error", "message": "no capacity"}',
    ],
)
def test_an_error_under_a_good_status_is_an_error(body: bytes):
    """A provider that says 200 and means 503 is not believed."""
    with pytest.raises(Fault) as caught:
        answer(body)
    assert caught.value.kind is Kind.ERROR_EVENT
    assert "no capacity" in caught.value.detail


def test_an_empty_error_is_none():
    """Some providers write `error: null` into good answers."""
    assert answer(b'{"error": null, ' + CHOICES + b"}").finish == "stop"
