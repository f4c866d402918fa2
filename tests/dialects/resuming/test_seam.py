"""Where two texts meet: nothing twice, nothing lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twospeed.dialects.resuming.seam import Seam

CODE = "def area(radius):\n    # The area of a circle.\n    return math.pi * rad"


def joined(delivered: str, said: str, shown: str | None = None, cut: int = 3) -> str:
    """What the client has in the end, when the next backend says this in pieces of so many characters."""
    seam = Seam(delivered, delivered.rstrip() if shown is None else shown)
    pieces = [said[at : at + cut] for at in range(0, len(said), cut)]
    return delivered + "".join(map(seam.feed, pieces)) + seam.flush()


@pytest.mark.parametrize("cut", [1, 3, 1_000])
@pytest.mark.parametrize(
    ("delivered", "said", "whole"),
    [
        (CODE, "ius ** 2\n", CODE + "ius ** 2\n"),
        (CODE, "    return math.pi * radius\n".strip(), CODE + "ius"),  # the last line again
        (CODE, CODE + "ius ** 2\n", CODE + "ius ** 2\n"),  # all of it again
        ("one\ntwo and a bit\n", "one\ntwo and a bit\nthree\n", "one\ntwo and a bit\nthree\n"),  # two whole lines again
        ("words and ", " more", "words and more"),  # the space that was cut off, and one that came
        ("words and ", "more", "words and more"),
        ("if x:\n    ", "\n    pass\n", "if x:\n    pass\n"),
        ("if x:\n", "\n    pass\n", "if x:\n    pass\n"),
        ("a text that is long enough ", "that is long enough to be sure", "a text that is long enough to be sure"),
    ],
)
def test_what_is_repeated_is_said_once(delivered: str, said: str, whole: str, cut: int):
    """However it is cut, the client reads one text."""
    assert joined(delivered, said, cut=cut) == whole


@pytest.mark.parametrize("cut", [1, 3, 1_000])
@pytest.mark.parametrize(
    ("delivered", "said"),
    [
        ("ha ha ", "ha ha ha"),  # too short to be told from chance
        ("    values.append(compute(1))\n", "    values.append(compute(1))\n"),  # a line may be followed by its like
        ("x = foo(alpha, beta)\nx = foo(alpha, ", "beta)\nx = foo(alpha, beta)\n"),  # goes in circles already
        ("la la la la la la la la la la ", "la la la la la la la la la la la"),
        ("the quick brown fox", "fox jumps"),
        ("abcdefghijklmnopqrstuvwxyz", "klmnopqrstuvwxyz again"),  # begins inside a word
    ],
)
def test_what_belongs_to_the_answer_stays(delivered: str, said: str, cut: int):
    """Text that repeats itself is not taken for a backend that does."""
    assert joined(delivered, said, shown=delivered, cut=cut) == delivered + said


@given(st.text(alphabet="ab \n", max_size=60), st.text(alphabet="cd", min_size=1, max_size=60), st.integers(1, 9))
def test_no_character_is_lost(delivered: str, said: str, cut: int):
    """What has nothing in common with what was delivered comes through whole."""
    assert joined(delivered, said, cut=cut) == delivered + said


@given(st.text(alphabet="ab \n", max_size=40), st.text(alphabet="ab \n", max_size=40), st.integers(1, 9))
def test_cuts_change_nothing(delivered: str, said: str, cut: int):
    """In whatever pieces the text comes, the outcome is the same."""
    assert joined(delivered, said, cut=cut) == joined(delivered, said, cut=1_000)


@given(st.text(alphabet="ab \n", max_size=200), st.text(alphabet="ab \n", max_size=15), st.integers(1, 9))
def test_short_ends_are_never_taken_for_a_repetition(delivered: str, said: str, cut: int):
    """Below sixteen characters everything is the answer's own."""
    assert joined(delivered, said, shown=delivered, cut=cut) == delivered + said
