"""Token counts: read like Messages, answered by a number."""

import json

import pytest

from twospeed.dialects.anthropic_count_tokens import DIALECT, AnthropicCountTokens
from twospeed.errors import Fault


def test_a_count_is_read_and_estimated():
    """max_tokens is not needed; the estimate grows with the body."""
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x" * 4000}]}).encode()
    asked = DIALECT.decode(body, "/messages/count_tokens")
    assert asked.dialect == DIALECT.name
    assert json.loads(AnthropicCountTokens().estimate(asked))["input_tokens"] == len(body) // 4
    assert DIALECT.answer(b'{"input_tokens": 3}').finish == ""
    with pytest.raises(Fault):
        DIALECT.answer(b"{}")
