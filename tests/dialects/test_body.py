"""Request bodies: what is refused and how it is said, where `model` is, and that nothing else is ever touched."""

import json

import msgspec
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from msgspec import Raw

from twospeed.dialects import body
from twospeed.errors import Fault, Kind

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.just("model"), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(["long", "tools", "stream", "x", "Model", "mode", 'a"model', "models", "é"])
SPACES = st.sampled_from(["", " ", "\n\t", " \r\n"])


class View(msgspec.Struct):
    """A view like a dialect's: the model, and a value long enough to be left out of the search."""

    model: Raw
    long: Raw = Raw(b"null")
    count: int = 0
    items: list[int] = []


VIEW = msgspec.json.Decoder(View)


def found(text: bytes) -> tuple[int, int]:
    """Where the model of this body is."""
    view = body.read(VIEW, text)
    return body.placed(text, view.model, [(view.long, view.long)])


def fault(call, *args) -> Fault:
    """The fault a call raises."""
    with pytest.raises(Fault) as caught:
        call(*args)
    return caught.value


@st.composite
def bodies(draw) -> tuple[list[tuple[str, object]], str]:
    """Members in some order and a body that holds them, written with any spaces and escapes."""
    others = draw(st.dictionaries(KEYS, JSON, max_size=4))
    members = list(others.items())
    members.insert(draw(st.integers(0, len(members))), ("model", draw(st.text(min_size=1))))
    ascii_only = draw(st.booleans())
    pads = st.tuples(SPACES, SPACES, SPACES, SPACES)
    parts = []
    for key, value in members:
        a, b, c, d = draw(pads)
        text = json.dumps(value, ensure_ascii=ascii_only)
        parts.append(f"{a}{json.dumps(key, ensure_ascii=ascii_only)}{b}:{c}{text}{d}")
    return members, "{" + ",".join(parts) + "}"


@given(bodies(), st.text(min_size=1))
def test_only_the_model_changes(made: tuple[list[tuple[str, object]], str], name: str):
    """A body with its model replaced is the same body otherwise, to the byte."""
    members, text = made
    whole = text.encode("utf-8", "surrogatepass")
    assume(whole.decode("utf-8", "ignore") == text)
    try:
        span = found(whole)
    except Fault:
        assume(False)
    new = body.splice(whole, span, body.encode_name(name))
    assert new[: span[0]] == whole[: span[0]]
    assert new[len(new) - len(whole) + span[1] :] == whole[span[1] :]
    assert json.loads(new) == {**dict(members), "model": name}
    assert json.loads(whole[slice(*span)]) == dict(members)["model"]


@pytest.mark.parametrize(
    "text",
    [
        '{"model": "a", "temperature": 1.0e5, "top_p": -0.0, "seed": 12345678901234567890}',
        '{ "max_tokens" :1,\n\t"model"\r\n:\t"a" }',
        '{"long": {"model": "b"}, "model": "a"}',
        '{"x": {"model": "b"}, "model": "a"}',
        '{"x": [{"model": {"model": 1}}], "model": "a", "long": "x"}',
        '{"x": "\\"model\\": \\"b\\"", "model": "a"}',
        '{"x": "model", "model": "a", "y": "\\\\\\"model"}',
        '{"mod\\u0065l": "a", "x": {"model": "b"}}',
        '{"mod\\u0065l": "a"}',
        '{"a\\"model": "b", "model": "a"}',
        '{"model\\u0065": "b", "model": "a"}',
    ],
)
def test_the_one_top_level_model_is_found(text: str):
    """Nested keys, values and texts that say model lead nobody astray."""
    assert body.splice(text.encode(), found(text.encode()), b"N") == text.replace('"a"', "N", 1).encode()


@pytest.mark.parametrize(
    "text",
    [
        '{"model": "a", "model": "b"}',
        '{"model": "a", "model": "a"}',
        '{"model": "a", "mod\\u0065l": "b"}',
        '{"\\u006D\\u006f\\u0064\\u0065\\u006c": "a", "model": "b"}',
        '{"model": "a", "long": {"model": "b"}, "model" : "c"}',
        '{"model": "a", "x": "\\u006d", "model": "c"}',
    ],
)
def test_a_second_model_is_refused(text: str):
    """Two parsers would read two different models; neither is right."""
    told = fault(found, text.encode())
    assert (told.kind, told.param) == (Kind.BAD_REQUEST, "model")
    assert told.message == "Invalid 'model': given more than once."


@given(bodies())
def test_the_model_is_found_in_the_whole_text_as_outside_long_values(made: tuple[list[tuple[str, object]], str]):
    """Leaving long values out is only a way to look at less."""
    _, text = made
    whole = text.encode("utf-8", "surrogatepass")
    assume(whole.decode("utf-8", "ignore") == text)
    try:
        span = found(whole)
    except Fault:
        assume(False)
    assert body.model_at(whole, VIEW.decode(whole).model, whole) == span


@given(st.binary(max_size=40), st.integers(0, 60), st.booleans())
@example(b"\xe2\x82\xac", 7, True)
@example(b"\xe2\x82", 6, True)
@example(b"\xed\xa0\x80", 5, True)
@example(b"\xf4\x90\x80\x80", 3, True)
@example(b"\xc0\xaf", 3, True)
@example(b"\x80", 8, True)
def test_utf8_is_checked_in_long_bodies_as_in_short_ones(middle: bytes, shift: int, long: bool):
    """Bytes are refused exactly when they are not UTF-8, wherever they stand."""
    text = b"a" * (body._SMALL * long + shift) + middle + b"b" * 21 + middle
    try:
        text.decode()
        body.check_utf8(text)
    except UnicodeDecodeError:
        assert fault(body.check_utf8, text).message == "Invalid request body: not valid UTF-8."


@pytest.mark.parametrize("gap", range(24))
def test_a_cut_character_is_not_healed_by_a_later_one(gap: int):
    """The first half of a character and the second half of another, far apart, are two mistakes."""
    text = b"a" * body._SMALL + b"\xe2\x82" + b"a" * gap + b"\xac" + b"a" * 20
    if gap:
        assert fault(body.check_utf8, text).kind is Kind.BAD_REQUEST
    else:
        body.check_utf8(text)


@pytest.mark.parametrize(
    ("text", "message", "param"),
    [
        (b"", "Invalid request body: not valid JSON.", None),
        (b'{"model": "a"', "Invalid request body: not valid JSON.", None),
        (b'{"model": "a"} x', "Invalid request body: not valid JSON (byte 16).", None),
        (b'{"model": "a", "x": NaN}', "Invalid request body: not valid JSON (byte 20).", None),
        (b'{"model": "a", "x": -Infinity}', "Invalid request body: not valid JSON (byte 21).", None),
        (b'{"model": "a", "x": "\\ud800"}', "Invalid request body: not valid JSON.", None),
        (b'{"model": "a", "x": "\\udc00 "}', "Invalid request body: not valid JSON (byte 27).", None),
        (b"[1]", "Invalid request body: expected object, got array.", None),
        (b"{}", "Missing required field 'model'.", "model"),
        (b'{"model": "a", "count": "5"}', "Invalid 'count': expected integer, got string.", "count"),
        (b'{"model": "a", "count": 1e400}', "Invalid 'count': number out of range.", "count"),
        (b'{"model": "a", "count": ' + b"9" * 5_000 + b"}", "Invalid 'count': integer value out of range.", "count"),
        (b'{"model": "a", "items": [1, "b"]}', "Invalid 'items[1]': expected integer, got string.", "items"),
        (b'{"model": "a", "x": ' + b"[" * 100_000, "Invalid request body: nested more than 128 levels deep.", None),
    ],
)
def test_what_is_wrong_is_said_without_quoting_it(text: bytes, message: str, param: str | None):
    """A refused body is told which field is wrong and how."""
    told = fault(body.read, VIEW, text)
    assert (told.kind, told.message, told.param) == (Kind.BAD_REQUEST, message, param)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (b'""', "Invalid 'model': must not be empty."),
        (b"null", "Invalid 'model': expected a string."),
        (b"7", "Invalid 'model': expected a string."),
        (b'["a"]', "Invalid 'model': expected a string."),
    ],
)
def test_a_model_is_a_name(value: bytes, message: str):
    """Anything but a string that is not empty is refused."""
    assert fault(body.model_name, Raw(value)).message == message
    assert body.model_name(Raw(b'"a\\u00e9\\n"')) == "aé\n"


def test_views_tell_where_they_point_in_either_way():
    """Reading the pointer and asking numpy give the same address."""
    text = b'{"model": "a", "long": [1, 2]}'
    view = VIEW.decode(text)
    assert text[body.start(text, view.long) :] == b"[1, 2]}"
    assert body._address_by_array(view.long) == body._address(view.long)
    assert body._address is body._address_by_pointer
    assert body.start(text, Raw(b"[1, 2]")) == -1


def test_values_from_elsewhere_are_not_left_out():
    """A value that was absent has no place; the whole body is then searched."""
    text = b'{"model": "a", "long": [1, 2]}'
    view = VIEW.decode(text)
    assert body.outside(text, [(Raw(b"null"), Raw(b"null"))]) == text
    assert body.outside(text, [(view.long, Raw(b"null"))]) == text
    assert body.outside(text, [(view.long, view.long), (view.model, view.model)]) == b'{"model": , "long": }'
    assert body.outside(text, [(view.model, view.long), (view.long, view.long)]) == b'{"model": }'


@pytest.mark.parametrize(("levels", "fits"), [(1, True), (100, True), (127, True), (128, False), (900, False)])
def test_depth_outside_long_values_is_counted(levels: int, fits: bool):
    """A field nobody reads may nest as deep as the body may, and no deeper."""
    text = b'{"model": "a", "x": ' + b'{"k": ' * levels + b"1" + b"}" * levels + b"}"
    assert body.shallow(text, text) is fits


def test_members_of_one_name_are_listed_in_order():
    """Repeated top-level members are seen, nested ones are not."""
    text = b'{"a": 1, "b": {"a": 2}, "\\u0061": [3]}'
    assert [text[slice(*span)] for span in body.spans(text, "a")] == [b"1", b"[3]"]
    assert body.spans(text, "c") == []
