"""Compaction: a request of Responses, answered with items that only its provider can read."""

import pytest

from twospeed.dialects.openai_compact import DIALECT
from twospeed.errors import Fault


def test_it_goes_to_a_provider_that_has_it():
    """It is never streamed and never translated."""
    asked = DIALECT.decode(b'{"model":"m","input":[{"role":"user","content":"a"}],"stream":true}', "/responses/compact")
    assert (asked.stream, DIALECT.served_by, asked.dialect) == (False, ("openai_compact",), "openai_compact")
    DIALECT.answer(b'{"object":"response.compaction","output":[]}')
    with pytest.raises(Fault):
        DIALECT.answer(b'{"object":"response"}')
