"""Which tier: pinned by header or by name, else classified."""

from collections.abc import Callable, Mapping

from twospeed.errors import Fault, Kind
from twospeed.policy.plan import Route
from twospeed.types import TIERS, Tier, Verdict


def pinned_tier(headers: Mapping[bytes, bytes]) -> Tier | None:
    """Read `x-twospeed-tier`. Raises: Fault BAD_REQUEST for anything but fast or deep.

    >>> pinned_tier({b"x-twospeed-tier": b"Deep"})
    'deep'
    """
    value = headers.get(b"x-twospeed-tier")
    if value is None:
        return None
    for tier in TIERS:
        if value.lower() == tier.encode():
            return tier
    raise Fault(Kind.BAD_REQUEST, "x-twospeed-tier must be fast or deep", param="x-twospeed-tier")


def choose(route: Route, classify: Callable[[], Verdict]) -> Verdict:
    """Return the verdict of a route: its own tier, or what classification says.

    >>> choose(Route("deep", reason="alias"), lambda: Verdict("fast", ()))
    Verdict(tier='deep', reasons=('pinned:alias',), score=None, gain=None)
    """
    if route.tier is not None:
        return Verdict(route.tier, (f"pinned:{route.reason}",))
    return classify()
