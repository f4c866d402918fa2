"""YAML with places: values as an editor reads them, and where each one stands."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twospeed.locate import DEPTH, Document

TEXT = """\
# a comment
listen:
  host: 127.0.0.1
  port:   8080
keys:
  - name: ann
    models: [fast, "deep"]
  - {name: bob}
empty:
"""


def read(text):
    """Read a text as a file named f."""
    return Document(text.encode(), "f")


def told(text):
    """What is wrong with a text, as operators see it."""
    return [str(problem) for problem in read(text).problems]


@pytest.mark.parametrize(
    ("path", "value", "key"),
    [
        (("listen",), (3, 3), (2, 1)),
        (("listen", "port"), (4, 11), (4, 3)),
        (("keys",), (6, 3), (5, 1)),
        (("keys", 0), (6, 5), (6, 5)),
        (("keys", 0, "models", 1), (7, 20), (7, 20)),
        (("keys", 1, "name"), (8, 12), (8, 6)),
        (("empty",), (9, 1), (9, 1)),
        ((), (1, 1), (1, 1)),
    ],
)
def test_every_value_and_key_is_found(path, value, key):
    """Lines and columns count from 1; an empty value stands where its key stands."""
    document = read(TEXT)
    assert document.where(path) == value
    assert document.where(path, key=True) == key


def test_what_is_missing_is_shown_at_the_block_it_is_missing_from():
    """A path that ends early points at the nearest block above."""
    document = read(TEXT)
    assert document.where(("keys", 1, "key"), key=True) == (8, 5)
    assert document.where(("keys", 7)) == document.where(("keys",))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[("8080", 8080), ("-1", -1), ("0.5", 0.5), (".5", 0.5), ("1.0e+999", "1.0e+999"), ("9" * 40, int("9" * 40))],
        *[("true", True), ("False", False), ("null", None), ("~", None), ("", None)],
        *[("off", "off"), ("no", "no"), ("on", "on"), ("yes", "yes"), ("12:30", "12:30"), ("1_000", "1_000")],
        *[("2026-01-01", "2026-01-01"), ("0x1f", "0x1f"), ("1.2.3", "1.2.3")],
        *[('"8080"', "8080"), ("'true'", "true"), ("!!str 8080", "8080"), ("|\n  two\n  lines\n", "two\nlines\n")],
    ],
)
def test_scalars_are_what_editors_take_them_for(text, value):
    """YAML 1.2: only true and false are booleans, dates and times are text, quoted numbers are text."""
    found = read(f"key: {text}").value["key"]
    assert (type(found), found) == (type(value), value)


def test_keys_are_text():
    """A model may be called 4.1 or null."""
    assert read("4.1: a\nnull: b\ntrue: c\n").value == {"4.1": "a", "null": "b", "true": "c"}


def test_anchors_and_merges_are_followed():
    """What is written in place wins over what is merged, and the first merged block over the later ones."""
    text = "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc: {<<: [*a, *b], z: 3}\nd: *a\n"
    document = read(text)
    assert document.value["c"] == {"x": 1, "y": 1, "z": 3}
    assert document.value["d"] == {"x": 1, "y": 1}
    assert document.where(("c", "y"), key=True) == (1, 14)
    assert document.where(("c", "z"), key=True) == (3, 19)


def test_duplicate_keys_are_all_named():
    """Each repetition is a problem, however deep, and says where the first one is."""
    assert told("a: 1\nb: {c: 1, c: 2}\na: 2\na: 3\n") == [
        "f:2:11: b: duplicate key 'c', first written on line 2",
        "f:3:1: duplicate key 'a', first written on line 1",
        "f:4:1: duplicate key 'a', first written on line 1",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a:\n\tb: 1\n", "f:2:1: a tab: YAML is indented with spaces"),
        ("a: [1, 2\nb: 3\n", "f:2:2: the list opened with '[' on line 1 is not closed"),
        ("a: {b: 1\nc: 3\n", "f:2:2: the block opened with '{' on line 1 is not closed"),
        ('a: "b\nc: 3\n', "f:1:4: the quote opened on line 1 is not closed"),
        ("a: @b\n", "f:1:4: this character cannot begin a value: quote the text"),
        ("a: *b\n", "f:1:4: an alias (*) needs its anchor (&) before it: quote text that starts with '*'"),
        ('a: "C:\\q"\n', "f:1:7: a backslash in double quotes begins an escape: use single quotes"),
        ("a: &x 1\nb: &x 2\n", "f:2:4: the same anchor (&) is defined twice"),
        ("a: &a [*a]\n", "f:1:4: holds an alias of itself"),
        ("a: \x07\n", "f:1:4: holds the control character U+0007"),
        ("[" * 100_000, f"f:1:{DEPTH + 1}: is nested deeper than {DEPTH} levels"),
    ],
)
def test_text_that_is_not_yaml_is_told_so_in_words(text, message):
    """One message with the place and the likely mistake, instead of a parser's."""
    document = read(text)
    assert [str(problem) for problem in document.problems] == [message]
    assert document.value is None


def test_bytes_that_are_not_text_are_told_so():
    """The place is that of the first bad byte."""
    document = Document(b"a: 1\nb: \xff\n", "f")
    assert [str(problem) for problem in document.problems] == ["f:2:4: is not UTF-8 text"]


def test_a_byte_order_mark_is_no_part_of_the_first_key():
    """Files saved on Windows are read."""
    assert Document(b"\xef\xbb\xbfa: 1\r\n", "f").value == {"a": 1}


def test_a_few_lines_cannot_unfold_into_gigabytes():
    """Aliases of aliases of aliases stop at a bound."""
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    problems = read("\n".join(lines)).problems
    assert [problem.message for problem in problems] == ["unfolds into too many values: look at the aliases"]


@settings(max_examples=50, deadline=None)
@given(
    st.recursive(
        st.integers() | st.booleans() | st.text("ab c:#-'\"", max_size=6),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=3),
        max_leaves=8,
    )
)
def test_json_is_read_as_it_is(value):
    """Any JSON document is a YAML document with the same values."""
    assert Document(json.dumps(value).encode(), "f").value == value


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data):
    """Nothing but a value or a problem comes of any file."""
    document = Document(data, "f")
    assert document.value is None or not isinstance(document.value, bytes)
    assert all(problem.line >= 1 and problem.column >= 1 for problem in document.problems)
