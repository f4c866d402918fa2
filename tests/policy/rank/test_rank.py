"""Orderings of the backends of a tier."""

from collections import Counter

from twospeed.policy.rank import NAMES
from twospeed.policy.rank.fastest import Rank as Fastest
from twospeed.policy.rank.ordered import Rank as Ordered
from twospeed.policy.rank.weighted import Rank as Weighted

NAMES_OF_BACKENDS = ["a/m@r", "b/m@r", "c/m@r"]


class Seen:
    """Health of which only the first token is known."""

    def __init__(self, **first_token: float) -> None:
        self.seconds = {f"{name}/m@r": value for name, value in first_token.items()}

    def first_token(self, backend: str) -> float | None:
        return self.seconds.get(backend)


def test_names_are_pinned():
    """No rank appears by accident."""
    assert NAMES == ["fastest", "ordered", "weighted"]


def test_ordered_is_as_written():
    """Order is priority."""
    assert Ordered().order(NAMES_OF_BACKENDS, Seen(), "s") == NAMES_OF_BACKENDS


def test_fastest_tries_the_unknown_first():
    """A backend never seen counts as fastest, then the lowest first token."""
    assert Fastest().order(NAMES_OF_BACKENDS, Seen(a=0.9, c=0.2), "s") == ["b/m@r", "c/m@r", "a/m@r"]


def test_weighted_shares_follow_weights():
    """Sessions spread by weight: three to one to one within 3 points over 5,000 sessions."""
    rank = Weighted(weights={"a": 3.0})
    first = Counter(rank.order(NAMES_OF_BACKENDS, Seen(), f"s{n}")[0] for n in range(5_000))
    assert abs(first["a/m@r"] / 5_000 - 0.6) < 0.03
    assert abs(first["b/m@r"] / 5_000 - 0.2) < 0.03


def test_weighted_moves_only_the_sessions_of_a_lost_backend():
    """When a backend goes, sessions elsewhere stay where they are."""
    rank = Weighted()
    for n in range(200):
        before = rank.order(NAMES_OF_BACKENDS, Seen(), f"s{n}")
        after = rank.order([name for name in NAMES_OF_BACKENDS if name != "b/m@r"], Seen(), f"s{n}")
        assert after == [name for name in before if name != "b/m@r"]
