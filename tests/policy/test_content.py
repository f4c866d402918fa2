"""Content is read as far as it matters and never broken in the middle of a character."""

import json

import msgspec
import pytest

from twospeed.policy.content import open_all, parts_of, string_of, texts_of
from twospeed.types import NULL, Message


@pytest.mark.parametrize("unit", ['\\"quoted\\" ', "\\n", "é中 ", "\U0001f600", "\\ud83d\\ude00 ", "x", "\\\\ "])
def test_cutting_never_breaks_a_character(unit: str):
    """Long contents are cut between characters, never inside an escape."""
    raw = b'"' + (unit * 9_000).encode() + b'"'
    string_of(msgspec.Raw(raw)).encode("utf-8")


def test_what_follows_a_long_block_is_read():
    """An instruction between a long file and long tests is found."""
    block = "```\n" + "x = 1\n" * 3_000 + "```\n"
    text = string_of(msgspec.Raw(json.dumps(f"{block}Rename x to y.\n{block}").encode()))
    assert "Rename x to y." in text
    assert text.count("```") % 2 == 0


def test_parts_and_strings_read_alike():
    """A list of text parts says the same as a string."""
    assert (
        texts_of(msgspec.Raw(b'"hello"')) == texts_of(msgspec.Raw(b'[{"type": "text", "text": "hello"}]')) == ["hello"]
    )


@pytest.mark.parametrize("content", [b"null", b"3", b"{}", b"[1]", b"[[]]"])
def test_anything_else_has_no_text(content: bytes):
    """Odd content reads as nothing."""
    assert texts_of(msgspec.Raw(content)) == []
    assert not parts_of(msgspec.Raw(content))


def test_plain_messages_are_opened_like_others():
    """A conversation of plain texts has no parts; one list in it is found wherever it stands."""
    plain = [Message("user", msgspec.Raw(text)) for text in (b'"[1]"', b"null", b'""', b'"x"')]
    assert open_all([*plain, Message("user")]) == [None] * 5
    listed = Message("user", msgspec.Raw(b'[{"type": "text", "text": "x"}]'))
    for place in range(5):
        opened = open_all([*plain[:place], listed, *plain[place:]])
        assert [parts is not None for parts in opened] == [at == place for at in range(5)]
    assert parts_of(NULL) is None
