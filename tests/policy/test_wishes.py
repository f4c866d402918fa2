"""Wishes: order, only, ignore and sort, among what may be used."""

import pytest
from tests.fakes import Notes

from twospeed.errors import Fault
from twospeed.policy.wishes import wished
from twospeed.types import Backend, Wishes

A, B, C = (Backend(name, "m", "r", f"{name}/m@r") for name in ("a", "b", "c"))


class Seen(Notes):
    """Health that knows first tokens."""

    def first_token(self, backend: str) -> float | None:
        return {"a/m@r": 0.9, "b/m@r": 0.1, "c/m@r": 0.5}[backend]


@pytest.mark.parametrize(
    ("wishes", "left"),
    [
        (Wishes(), [A, B, C]),
        (Wishes(order=("C", "a")), [C, A, B]),
        (Wishes(order=("c", "a"), spares=False), [C, A]),
        (Wishes(spares=False), [A]),
        (Wishes(only=("b", "nobody")), [B]),
        (Wishes(ignore=("a",)), [B, C]),
        (Wishes(sort="latency"), [B, C, A]),
        (Wishes(sort="latency", order=("c",)), [C, B, A]),
        (Wishes(sort="price"), [A, B, C]),
    ],
)
def test_wishes_order_and_narrow(wishes: Wishes, left: list[Backend]):
    """Names are compared without regard to case; unknown ones are passed over."""
    assert wished([A, B, C], wishes, Seen()) == left


def test_a_wish_that_leaves_nobody_is_refused():
    """Rather than serve from where the caller did not want to be served."""
    with pytest.raises(Fault) as caught:
        wished([A], Wishes(only=("b",)), Seen())
    assert caught.value.param == "provider"
