"""What can be told of an answer without understanding it."""

import pytest
from tests.fakes import candidate, record

from twospeed.errors import Kind
from twospeed.policy.answers import fits, refused, stalled, tool_call_valid
from twospeed.types import Attempt, Called, Heard

EDIT = b'{"type":"object","properties":{"path":{"type":"string"},"line":{"type":"integer"}},"required":["path"]}'
OFFERED = {"edit": EDIT, "ls": b"null", "patch": None}


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "I cannot assist with this request.",
        "I\u2019m unable to help you with creating malware.",
        "Sorry, I won't be able to help with that.",
        "That is against my content policy.",
        "We are not able to comply.",
    ],
)
def test_who_will_not_is_heard(text):
    """A short text that says no is a refusal."""
    assert refused(Heard(text))


@pytest.mark.parametrize(
    "text",
    [
        "I can't find `a.py`, so I created it.",
        "The function cannot return None here; I fixed it.",
        "You can't assign to a tuple. Use a list.",
        "This helps with the unable-to-connect error.",
        "",
    ],
)
def test_who_only_reports_trouble_is_no_refusal(text):
    """A model that speaks of what does not work still answers."""
    assert not refused(Heard(text))


def test_a_long_answer_or_one_that_acts_is_no_refusal():
    """Whoever goes on to work has not refused; whom the provider marks has."""
    no = "I can't help with that."
    assert not refused(Heard(no + " x" * 1_000))
    assert not refused(Heard(no, (Called("ls", "{}"),)))
    assert refused(Heard("fine", refused=True))


@pytest.mark.parametrize(
    ("name", "arguments", "valid"),
    [
        ("edit", '{"path":"a","line":3}', True),
        ("edit", '{"path":"a","line":3.0}', True),
        ("edit", '{"line":3}', False),
        ("edit", '{"path":3}', False),
        ("edit", '{"path":"a"', False),
        ("edit", '["a"]', False),
        ("ls", "", True),
        ("rm", "{}", False),
        ("patch", "*** not JSON", True),
    ],
)
def test_a_call_fits_what_was_offered(name, arguments, valid):
    """Name, JSON, required arguments and their types are looked at."""
    assert tool_call_valid(Heard(calls=(Called(name, arguments),)), OFFERED) is valid


def test_no_call_is_neither_valid_nor_invalid():
    """Without a call, or where it could not be read, nothing is said; one cut off by the token limit is passed over."""
    broken = (Called("edit", '{"pa'),)
    assert tool_call_valid(Heard("hi"), OFFERED) is None
    assert tool_call_valid(Heard(calls=broken, deaf=True), OFFERED) is None
    assert tool_call_valid(Heard(calls=broken, cut=True), OFFERED) is None
    assert tool_call_valid(Heard(calls=(Called("rm", "{}"), *broken), cut=True), OFFERED) is False


def test_of_unknown_offers_only_the_json_counts():
    """Where the tools could not be read nobody is blamed for naming one."""
    assert tool_call_valid(Heard(calls=(Called("x", '{"a":1}'),)), {}) is True
    assert tool_call_valid(Heard(calls=(Called("x", "{"),)), {}) is False


@pytest.mark.parametrize(
    ("value", "schema", "fitting"),
    [
        ({"a": "x"}, {"properties": {"a": {"enum": ["y"]}}}, False),
        ({"a": None}, {"properties": {"a": {"type": ["string", "null"]}}}, True),
        ({"a": True}, {"properties": {"a": {"type": "integer"}}}, False),
        ({"b": 1}, {"additionalProperties": False, "properties": {"a": {}}}, False),
        ({"a": [1, "2"]}, {"properties": {"a": {"items": {"type": "integer"}}}}, False),
        ({"a": {"b": {}}}, {"properties": {"a": {"required": ["c"]}}}, False),
        ({"a": 1}, {"anyOf": [{"type": "string"}]}, True),
        ({"a": 1}, {"properties": {"a": {"type": "uuid"}}}, True),
    ],
)
def test_schemas_are_read_as_far_as_models_get_them_wrong(value, schema, fitting):
    """Types, enums, required and forbidden members count at every level; what is not known is not held against anyone."""
    assert fits(value, schema) is fitting


def test_a_stream_that_stood_still_is_a_stall():
    """Also where a fallback saved the request; a client that left and an unstreamed answer say nothing."""
    seen = record()
    assert stalled(seen) is None
    seen.stream = True
    assert stalled(seen) is False
    seen.attempts.append(Attempt(candidate("a").backend, 0.0, kind=Kind.FIRST_TOKEN_TIMEOUT))
    assert stalled(seen) is True
    seen.fault = Kind.CLIENT_GONE
    assert stalled(seen) is None
