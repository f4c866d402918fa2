"""Values with units."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from twospeed import units

PARSERS = [units.duration, units.count, units.size, units.fraction]


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (units.duration, "1ms", 0.001),
        (units.duration, "1.5s", 1.5),
        (units.duration, "5 m", 300.0),
        (units.duration, "1h", 3600.0),
        (units.duration, "2d", 172_800.0),
        (units.duration, 0, 0.0),
        (units.count, 500, 500),
        (units.count, "500", 500),
        (units.count, "1.5k", 1_500),
        (units.count, "3G", 3_000_000_000),
        (units.size, "1B", 1),
        (units.size, "64KiB", 65_536),
        (units.size, "1.5MB", 1_500_000),
        (units.size, "2GiB", 2_147_483_648),
        (units.fraction, "12.5%", 0.125),
        (units.fraction, 0.05, 0.05),
        (units.fraction, 1, 1.0),
    ],
)
def test_values_are_read_with_their_unit(parse, text, value):
    """Each unit means what operators take it to mean."""
    assert parse(text) == pytest.approx(value)


@pytest.mark.parametrize(
    ("parse", "value"),
    [
        *[(units.duration, value) for value in (5, 0.5, "5", "5 sec", "-1s", "1s1s", "s", "", True, False, None, "٥s")],
        *[(units.count, value) for value in (-1, 1.5, "1.5", "0.5", "1K", "-5", "9" * 400, 10**400, True, None, [])],
        *[(units.size, value) for value in (32, "32", "32mb", "32 bytes", "1.5B", "9" * 400 + "GB", {"MB": 1})],
        *[(units.fraction, value) for value in (5, "5", "101%", -0.1, 10**400, float("nan"), float("inf"), "%", True)],
    ],
)
def test_what_could_be_guessed_wrong_is_refused(parse, value):
    """A number without a unit, an unknown unit or an absurd number is an error that says what to write."""
    with pytest.raises(ValueError, match=r"^expected "):
        parse(value)


@pytest.mark.parametrize("parse", PARSERS)
def test_messages_say_what_was_found(parse):
    """The value at fault is quoted, whole blocks are not."""
    with pytest.raises(ValueError, match="got 'soon'"):
        parse("soon")
    with pytest.raises(ValueError, match="got a block of keys"):
        parse({"key": "sk-1"})
    with pytest.raises(ValueError, match="got a list"):
        parse(["sk-1"])


@given(st.integers(1, 10**9))
def test_durations_are_written_as_they_are_read(milliseconds):
    """What is shown to operators can be pasted back."""
    seconds = milliseconds / 1000
    assert units.duration(units.written_duration(seconds)) == pytest.approx(seconds)


@given(st.integers(1, 10**13))
def test_sizes_are_written_as_they_are_read(size):
    """A size shown in the reference is the size it stands for."""
    assert units.size(units.written_size(size)) == size


@given(st.integers(0, 1000))
def test_shares_are_written_as_they_are_read(thousandths):
    """A share shown in the reference is the share it stands for."""
    assert units.fraction(units.written_share(thousandths / 1000)) == pytest.approx(thousandths / 1000)


@given(st.sampled_from(PARSERS), st.text() | st.floats() | st.integers() | st.from_regex(r"\d+(\.\d+)? *[a-zA-Z%]*"))
def test_any_value_is_read_or_refused(parse, value):
    """No text and no number does anything else, and nothing read is negative."""
    try:
        assert parse(value) >= 0
    except ValueError as error:
        assert str(error).startswith("expected ")  # noqa: PT017


@pytest.mark.parametrize("kind", [units.PositiveDuration, units.PositiveCount, units.Size])
def test_zero_is_refused_where_it_makes_no_sense(kind):
    """A timeout, a limit or a size of nothing is a mistake."""
    zero = "0B" if kind is units.Size else "0"
    with pytest.raises(ValueError):
        TypeAdapter(kind).validate_python(zero)


@pytest.mark.parametrize("kind", [units.Duration, units.Count, units.Size, units.Fraction])
def test_the_schema_says_how_a_value_is_written(kind):
    """Editors offer examples that are accepted."""
    schema = TypeAdapter(kind).json_schema()
    assert all(TypeAdapter(kind).validate_python(example) > 0 for example in schema["examples"])


@pytest.mark.parametrize("value", ["1%", 0.01, "101pp", "pp", "-1pp", None])
def test_a_difference_of_shares_is_written_in_points(value):
    """One point more than 0.5% is 1.5%; "1% more" would be two things."""
    assert units.points("0.5pp") == 0.005
    assert units.written_points(0.005) == "0.5pp"
    with pytest.raises(ValueError, match="pp"):
        units.points(value)
