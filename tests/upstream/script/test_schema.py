"""Values for JSON Schemas."""

from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st

from twospeed.upstream.script.schema import instance


def word(name: str) -> str:
    return f"some text for {name}"


CASES: dict[str, Any] = {
    "anything": True,
    "nothing said": {},
    "constant": {"const": [1, {"a": 2}]},
    "choice": {"enum": ["b", "c"], "type": "string"},
    "nullable": {"type": ["string", "null"]},
    "nullable branch": {"anyOf": [{"type": "string", "minLength": 3}, {"type": "null"}]},
    "open interval": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
    "negative": {"type": "integer", "maximum": -5},
    "steps": {"type": "integer", "minimum": 11, "multipleOf": 7},
    "tenths": {"type": "number", "minimum": 0.25, "maximum": 0.75, "multipleOf": 0.25},
    "between integers": {"type": "integer", "exclusiveMinimum": 3, "exclusiveMaximum": 5},
    "lengths": {"type": "string", "minLength": 40, "maxLength": 41},
    "short": {"type": "string", "maxLength": 2},
    "pattern": {"type": "string", "pattern": "^[a-z]+_[0-9]{3}$", "minLength": 8},
    "two different": {"type": "array", "items": {"type": "string", "maxLength": 3}, "minItems": 2, "uniqueItems": True},
    "different choices": {"type": "array", "items": {"enum": ["a", "b", "c"]}, "minItems": 3, "uniqueItems": True},
    "different numbers": {
        "type": "array",
        "items": {"type": "integer", "maximum": 1},
        "minItems": 4,
        "uniqueItems": True,
    },
    "tuple": {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "minItems": 2},
    "contains": {"type": "array", "contains": {"const": 7}},
    "required only": {"required": ["a"], "type": "object"},
    "free keys": {"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 2},
    "named keys": {"type": "object", "propertyNames": {"pattern": "^[a-z]+$"}, "minProperties": 1},
    "dependent": {
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"type": "integer"}},
        "required": ["a"],
        "dependentRequired": {"a": ["b"]},
    },
    "either key": {
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
        "anyOf": [{"required": ["a"]}, {"required": ["b"]}],
    },
    "all of": {
        "allOf": [
            {"type": "object", "properties": {"n": {"type": "integer", "minimum": 3}}, "required": ["n"]},
            {"properties": {"n": {"maximum": 4}, "m": {"type": "boolean"}}, "required": ["m"]},
        ]
    },
    "definitions": {
        "$defs": {"Item": {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]}},
        "type": "object",
        "properties": {"items": {"type": "array", "items": {"$ref": "#/$defs/Item"}, "minItems": 2}},
        "required": ["items"],
    },
    "tagged": {
        "oneOf": [
            {
                "type": "object",
                "properties": {"kind": {"const": "a"}, "x": {"type": "integer"}},
                "required": ["kind", "x"],
            },
            {"type": "object", "properties": {"kind": {"const": "b"}}, "required": ["kind"]},
        ]
    },
    "strict": {
        "type": "object",
        "properties": {"path": {"type": "string"}, "limit": {"type": ["integer", "null"]}},
        "required": ["path", "limit"],
        "additionalProperties": False,
    },
}


@pytest.mark.parametrize("name", CASES)
def test_value_fits(name: str):
    """Whatever JSON form is asked for, the answer has it."""
    schema = CASES[name]
    jsonschema.validate(instance(schema, word), schema)


@pytest.mark.parametrize("form", ["date-time", "date", "email", "uri", "uuid", "ipv4", "ipv6", "regex"])
def test_formats_are_kept(form: str):
    """A string with a format looks like one."""
    schema = {"type": "string", "format": form}
    checker = jsonschema.FormatChecker()
    jsonschema.validate(instance(schema, word), schema, format_checker=checker)


def test_only_what_is_demanded_is_filled_in():
    """Optional arguments are left out."""
    schema = {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}, "required": ["b"]}
    assert instance(schema, word) == {"b": "some text for b"}


HOSTILE = [
    {"$ref": "#"},
    {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]},
    {"$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}] * 3}}, "allOf": [{"$ref": "#/$defs/a"}] * 3},
    {"type": "array", "minItems": 10**12},
    {"type": "array", "minItems": 64, "items": {"$ref": "#"}},
    {"type": "string", "minLength": 10**12},
    {"type": "integer", "multipleOf": 1e-320, "minimum": 1e300},
    {"type": "number", "minimum": 1e308, "maximum": 1e308},
    {"type": "object", "minProperties": 10**12},
    {"$ref": "#/$defs/9/x/0"},
    {"$ref": "https://example.com/elsewhere.json"},
    {"type": 7, "enum": "x", "required": 3, "properties": [], "anyOf": "no", "minLength": "much"},
    {"type": "array", "prefixItems": {}, "items": 5, "minItems": 2},
    ["not a schema"],
]


@pytest.mark.parametrize("schema", HOSTILE, ids=str)
def test_hostile_schemas_are_answered_in_bounded_work(schema: Any):
    """A schema that is endless, contradictory or none at all still gives some value."""
    instance(schema, word)


names = st.sampled_from(["path", "query", "limit", "items", "mode", "nested"])
simple = st.one_of(
    st.builds(
        lambda low, room: {"type": "integer", "minimum": low, "maximum": low + room},
        st.integers(-50, 50),
        st.integers(0, 9),
    ),
    st.builds(
        lambda low, room: {"type": "string", "minLength": low, "maxLength": low + room},
        st.integers(0, 30),
        st.integers(0, 9),
    ),
    st.builds(lambda choices: {"enum": choices}, st.lists(st.text(max_size=5), min_size=1, max_size=3, unique=True)),
    st.sampled_from(
        [{"type": "boolean"}, {"type": "null"}, {"type": ["number", "null"]}, {"type": "number", "exclusiveMinimum": 2}]
    ),
)


def objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.dictionaries(names, inner, max_size=4).flatmap(
        lambda properties: st.builds(
            lambda required, closed: {
                "type": "object",
                "properties": properties,
                "required": [name for name in properties if name in required],
                **({"additionalProperties": False} if closed else {}),
            },
            st.sets(names),
            st.booleans(),
        )
    )


def arrays(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.builds(
        lambda items, least: {"type": "array", "items": items, "minItems": least}, inner, st.integers(0, 3)
    )


schemas = st.recursive(simple, lambda inner: st.one_of(objects(inner), arrays(inner)), max_leaves=8)


@given(objects(schemas))
@budget(max_examples=80, deadline=None)
def test_any_ordinary_schema_is_fitted(schema: Any):
    """Tool arguments are valid for every ordinary nesting of objects, arrays, enums and ranges."""
    jsonschema.validate(instance(schema, word), schema)
