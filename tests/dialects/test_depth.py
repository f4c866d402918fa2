"""Depth of JSON: exact at the limit, whatever brackets strings hold."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from twospeed.dialects import depth

TEXT = st.text(alphabet='[]{}"\\,:ab é\n', max_size=12)
VALUES = st.recursive(
    TEXT | st.integers() | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=30,
)


def measured(value: object) -> int:
    """The depth of a value, counted the plain way."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(measured, inner), default=0)


def nested(levels: int, around: str = "") -> bytes:
    """A value of so many levels, objects and arrays in turn, with some text on each level."""
    value: object = 1
    for level in range(levels):
        value = {"k" + around: value} if level % 2 else [value, around]
    return json.dumps(value).encode()


@given(VALUES)
def test_the_count_is_exact(value: object):
    """A value of n levels fits into n and not into n - 1, whichever way it is found out."""
    text = json.dumps(value, ensure_ascii=False).encode()
    levels = measured(value)
    assert not depth.deeper(text, levels)
    assert depth.shallow([Raw(text)], levels)
    if levels:
        assert depth.deeper(text, levels - 1)
        assert not depth.shallow([Raw(text)], levels - 1)


@settings(max_examples=30)
@given(VALUES, st.integers(1, 9))
def test_pieces_change_nothing(value: object, size: int):
    """Counting in pieces, cut inside strings and escapes too, finds what counting at once finds."""
    text = json.dumps(value, ensure_ascii=False).encode()
    whole, before = depth._PIECE, measured(value)
    depth._PIECE = size
    try:
        assert not depth.deeper(text, before)
        assert before == 0 or depth.deeper(text, before - 1)
    finally:
        depth._PIECE = whole


@pytest.mark.parametrize("around", ["", "]]]]}}}}", "x" * 300, '\\"[[', "\\\\"])
@pytest.mark.parametrize("room", [1, 2, 5, 125, 127])
def test_the_limit_is_exact_at_its_edge(around: str, room: int):
    """The last level that fits passes, the next one does not, with any amount of text around."""
    assert depth.shallow([Raw(nested(room, around))], room)
    assert not depth.shallow([Raw(nested(room + 1, around))], room)


def test_the_deepest_of_several_values_decides():
    """One deep value among flat ones is found."""
    flat = Raw(json.dumps([{"a": "x" * 300}]).encode())
    assert not depth.shallow([flat, Raw(nested(130, "x")), flat], 125)
    assert depth.shallow([flat, Raw(b'"' + b"[" * 900 + b'"'), Raw(b"1" * 900)], 125)


def test_values_beyond_the_decoder_are_deep():
    """A value that the decoder itself refuses as too deep is refused, not failed on."""
    assert not depth.shallow([Raw(b"[" * 100_000 + b"]" * 100_000)], 125)


def test_a_value_seen_before_is_known_again():
    """The tools an agent sends with each turn are looked into once, deep ones too; the verdict is the same."""
    tools = json.dumps([{"name": "t", "parameters": {"a": [{"b": i} for i in range(200)]}}]).encode()
    deep = json.dumps([{"name": "t" * 300, "parameters": json.loads(nested(126))}]).encode()
    for _ in range(2):
        assert depth.shallow_again(Raw(tools))
        assert not depth.shallow_again(Raw(deep))
    assert depth.shallow_again(Raw(json.dumps([{"name": "t" * 300, "parameters": json.loads(nested(125))}]).encode()))


@given(VALUES, st.integers(100, 130))
def test_what_is_flat_at_a_glance_is_so(value: object, levels: int):
    """A short body that is let pass without a further look is never too deep; a long one is always looked at."""
    text = b"[" * levels + json.dumps(value).encode() + b"]" * levels
    assert not depth.flat(text) or measured(value) + levels <= depth.LIMIT
    assert depth.flat(json.dumps(value).encode())
    assert not depth.flat(b" " * depth._FLAT + b"{}")
