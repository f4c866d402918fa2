"""What was found out about a long value is remembered, for that value alone."""

import pytest
from msgspec import Raw

from twospeed.dialects import again
from twospeed.dialects.again import Again


class Counting:
    """A function that tells how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, value: Raw) -> bytes:
        """Return the value itself."""
        self.asked += 1
        return bytes(value)


def test_the_same_value_is_looked_into_once():
    """Equal bytes are the same value wherever they stand; one other byte makes a new one."""
    function = Counting()
    remembered = Again(function)
    for _ in range(3):
        assert remembered(Raw(b"[" + b"1" * 500 + b"]")) == b"[" + b"1" * 500 + b"]"
    assert function.asked == 1
    assert remembered(Raw(b"[" + b"1" * 499 + b"2]")) == b"[" + b"1" * 499 + b"2]"
    assert remembered(Raw(b"[" + b"1" * 500 + b"]")) == b"[" + b"1" * 500 + b"]"
    assert function.asked == 3


@pytest.mark.parametrize("size", [10, (1 << 17) + 1])
def test_short_and_huge_values_are_not_kept(size: int):
    """What is read in no time, or would fill the memory, is looked into each time."""
    function = Counting()
    remembered = Again(function)
    assert remembered(Raw(b"1" * size)) == remembered(Raw(b"1" * size))
    assert function.asked == 2


def test_what_is_remembered_is_bounded():
    """However many values come by, only the last ones are kept."""
    remembered = Again(Counting())
    for size in range(300, 300 + 2 * again._ENTRIES):
        remembered(Raw(b"1" * size))
    assert len(remembered._known) == again._ENTRIES
    assert 299 + 2 * again._ENTRIES in remembered._known


def test_a_failure_is_not_remembered():
    """A value that cannot be read fails in the same way each time."""
    remembered = Again(lambda value: int(bytes(value)[-1:]))
    for _ in range(2):
        with pytest.raises(ValueError, match="invalid literal"):
            remembered(Raw(b"1" * 500 + b"x"))
