"""Wrappings around what one provider signed: back at it they open, elsewhere they are left out."""

import json

import pytest

from twospeed.dialects import seals


def test_only_the_owner_gets_it_back():
    """A block comes back byte for byte, to its own provider alone."""
    block = '{"type":"thinking","thinking":"ü","signature":"a=="}'.encode()
    wrapped = seals.seal("anthropic", block)
    assert seals.opened(wrapped, "anthropic") == block
    assert seals.opened(wrapped, "anthropic-2") is None
    assert seals.is_seal(wrapped)


@pytest.mark.parametrize(
    "text", ["", "sig", "twospeed-sealed-1:p:!!!", "twospeed-sealed-1:p:", "twospeed-sealed-1", "twospeed-sealed-1:p:a"]
)
def test_what_is_no_seal_opens_nothing(text: str):
    """Broken or foreign text is nobody's block."""
    assert seals.opened(text, "p") is None


def test_words_about_seals_are_no_seals():
    """A conversation that only mentions the mark stays byte for byte."""
    body = b'{"messages": [ {"role": "user",  "content": "what is twospeed-sealed-1:x:?"}, {"role":"assistant","content":[{"type":"text","text":"twospeed-sealed-1"}]} ], "input": "twospeed-sealed-1"}'
    assert seals.sealed(body)
    assert seals.without_sealed_thinking(body) == body
    assert seals.without_sealed_items(body) == body


def test_a_turn_of_nothing_else_goes():
    """A turn that was only foreign thinking is no turn any more; a model that thinks anyway may go on thinking."""
    thought = {"type": "redacted_thinking", "data": seals.seal("o", b"{}")}
    body = {
        "thinking": {"type": "enabled"},
        "messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": [thought]}],
    }
    sent = json.loads(seals.without_sealed_thinking(json.dumps(body).encode()))
    assert sent == {"thinking": {"type": "enabled"}, "messages": [{"role": "user", "content": "a"}]}
