"""Orderings of the backends of a tier."""

from collections import Counter

from twospeed.policy.rank import NAMES, unloaded
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
    assert Ordered().order(NAMES_OF_BACKENDS, Seen(), "s", unloaded) == NAMES_OF_BACKENDS


def test_fastest_tries_the_unknown_first():
    """A backend never seen counts as fastest, then the lowest first token."""
    assert Fastest().order(NAMES_OF_BACKENDS, Seen(a=0.9, c=0.2), "s", unloaded) == ["b/m@r", "c/m@r", "a/m@r"]


def test_weighted_shares_follow_weights():
    """Sessions spread by weight: three to one to one within 3 points over 5,000 sessions."""
    rank = Weighted(weights={"a": 3.0})
    first = Counter(rank.order(NAMES_OF_BACKENDS, Seen(), f"s{n}", unloaded)[0] for n in range(5_000))
    assert abs(first["a/m@r"] / 5_000 - 0.6) < 0.03
    assert abs(first["b/m@r"] / 5_000 - 0.2) < 0.03


def test_weighted_moves_only_the_sessions_of_a_lost_backend():
    """When a backend goes, sessions elsewhere stay where they are."""
    rank = Weighted()
    for n in range(200):
        before = rank.order(NAMES_OF_BACKENDS, Seen(), f"s{n}", unloaded)
        after = rank.order([name for name in NAMES_OF_BACKENDS if name != "b/m@r"], Seen(), f"s{n}", unloaded)
        assert after == [name for name in before if name != "b/m@r"]


def test_weighted_bounds_the_load():
    """A crowd of new sessions on one backend goes elsewhere; the order behind it stays, and a quiet system has no bound."""
    rank, under_way = Weighted(), Counter()
    for n in range(300):
        under_way[rank.order(NAMES_OF_BACKENDS, Seen(), f"s{n}", under_way.__getitem__)[0]] += 1
    assert max(under_way.values()) <= 1.25 * 300 / 3 + 2
    alone = Counter({"a/m@r": 50})
    assert all(rank.order(NAMES_OF_BACKENDS, Seen(), f"s{n}", alone.__getitem__)[0] != "a/m@r" for n in range(50))


def test_weighted_bounds_requests_without_a_session():
    """Those that no session tells apart do not all meet on one backend."""
    rank, under_way = Weighted(weights={"a": 2.0}), Counter()
    for _ in range(100):
        under_way[rank.order(NAMES_OF_BACKENDS, Seen(), "", under_way.__getitem__)[0]] += 1
    assert len(under_way) == 3
