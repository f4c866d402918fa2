"""Routing in the body: read in OpenRouter's words."""

import msgspec
import pytest

from twospeed.dialects.wishes import stripped, wishes
from twospeed.errors import Fault
from twospeed.types import NULL, Wishes


def raw(text: str) -> msgspec.Raw:
    """A value as the body has it."""
    return msgspec.Raw(text.encode())


def test_nothing_asked_for_costs_nothing():
    """Most requests say nothing about it."""
    assert wishes(NULL, NULL) is None


def test_all_of_it_is_read():
    """Models, order, only, ignore, allow_fallbacks and sort; what else OpenRouter knows is passed over."""
    provider = '{"order":["a"],"only":["a","b"],"ignore":["c"],"allow_fallbacks":false,"sort":"latency","zdr":true}'
    assert wishes(raw('["m","n"]'), raw(provider)) == Wishes(("m", "n"), ("a",), ("a", "b"), ("c",), False, "latency")


@pytest.mark.parametrize(
    ("models", "provider"), [('"m"', "null"), ("[1]", "null"), ("null", '"a"'), ("null", '{"order":"a"}')]
)
def test_wrong_types_are_refused(models: str, provider: str):
    """A wish that cannot be read is said to be wrong."""
    with pytest.raises(Fault):
        wishes(raw(models), raw(provider))


@pytest.mark.parametrize(
    ("body", "left"),
    [
        (b'{"model":"m","models":["a"],"x":1}', b'{"model":"m","x":1}'),
        (b'{ "models" : [] , "model" : "m" }', b'{"model" : "m" }'),
        (b'{"provider":{},"models":[]}', b"{}"),
        (b'{"a":{"models":1},\n"b":2}', b'{"a":{"models":1},\n"b":2}'),
    ],
)
def test_they_are_taken_out_of_the_body(body: bytes, left: bytes):
    """Providers never see them; every other byte stays."""
    assert stripped(body) == left
