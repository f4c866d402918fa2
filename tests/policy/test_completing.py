"""Which backends can complete: the suffix must reach the model, and marks stay within their family."""

from typing import Literal

import pytest

from twospeed.errors import Fault, Kind
from twospeed.policy.completing import completing
from twospeed.types import Backend, Completion

PLAIN = Completion("a")
INFILL = Completion("a", "b", infill=True)
MARKED = Completion("<|fim_prefix|>", families=frozenset({"qwen", "granite"}))


def backend(name: str, suffix: Literal["native", "template", "none"] = "native", fim: str = "") -> Backend:
    """A backend that takes suffixes in this way."""
    return Backend(name, "m", "r", name, suffix=suffix, fim=fim)


NATIVE, FOLDING, LOST, NONE = (
    backend("native"),
    backend("folding", "template", "qwen"),
    backend("lost", "template"),
    backend("none", "none", "qwen"),
)


@pytest.mark.parametrize(
    ("completion", "left"),
    [
        (PLAIN, [NONE, LOST, FOLDING, NATIVE]),
        (INFILL, [FOLDING, NATIVE]),
        (Completion("a", "b", infill=True, whole=False), [NATIVE]),
        (Completion("a", "", infill=False), [NONE, LOST, FOLDING, NATIVE]),
    ],
)
def test_a_suffix_must_reach_the_model(completion: Completion, left: list[Backend]):
    """Natively, or folded into one text by a known family; a model that would not see it is not asked."""
    assert completing([NONE, LOST, FOLDING, NATIVE], completion) == left


def test_marks_stay_within_their_family():
    """A prompt marked for one family goes to no other; a model of unknown family is asked only without its own."""
    qwen, granite, llama, unknown = (
        backend("q", fim="qwen"),
        backend("g", fim="granite"),
        backend("l", fim="codellama"),
        backend("u"),
    )
    assert completing([llama, unknown, qwen, granite], MARKED) == [qwen, granite]
    assert completing([llama, unknown], MARKED) == [unknown]
    with pytest.raises(Fault) as caught:
        completing([llama], MARKED)
    assert (caught.value.kind, caught.value.param) == (Kind.BAD_REQUEST, "prompt")
    assert "granite or qwen" in caught.value.message


@pytest.mark.parametrize("completion", [INFILL, Completion("", "b", infill=True, whole=False)])
def test_nobody_left_is_said_clearly(completion: Completion):
    """The client learns which field nobody can serve."""
    with pytest.raises(Fault) as caught:
        completing([NONE, LOST], completion)
    assert (caught.value.kind, caught.value.param) == (Kind.BAD_REQUEST, "suffix")
    assert "fills in the middle" in caught.value.message
