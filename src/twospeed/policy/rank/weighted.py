"""Spread sessions over backends by weight; a session always meets the same order, unless its backend is overfull.

Source: weighted rendezvous hashing (Schindelhauer and Schomaker, 2005): score = -weight / ln(u), u uniform per pair;
bounded loads as in Mirrokni, Thorup and Zadimoghaddam, "Consistent Hashing with Bounded Loads" (2018).
"""

import hashlib
import math
from collections.abc import Callable, Sequence
from typing import Annotated, Literal

from pydantic import Field

from twospeed.policy.breaker import Health
from twospeed.types import Settings


class Rank(Settings):
    """`rank: {kind: weighted}`.

    >>> rank, idle = Rank(weights={"a/m@r": 3.0}), lambda name: 0
    >>> rank.order(["a/m@r", "b/m@r"], None, "s1", idle) == rank.order(["b/m@r", "a/m@r"], None, "s1", idle)
    True
    """

    kind: Literal["weighted"] = "weighted"
    """Which ordering this is."""
    weights: dict[str, Annotated[float, Field(gt=0)]] = {}
    """Share per backend name or provider name; those not named count 1. Only ratios matter."""
    bound: Annotated[float, Field(gt=1.0, le=100.0)] = 1.25
    """A backend with more than so many times its share of the requests under way in this process gets no new session until
    it has fewer; 100 is as good as no bound."""

    def order(
        self, backends: Sequence[str], health: Health | None, session: str, load: Callable[[str], int]
    ) -> list[str]:
        """Return the names best first: the same for the same session whatever else is listed."""
        order = sorted(backends, key=lambda name: self._score(name, session))
        loads = {name: load(name) for name in backends}
        total = sum(loads.values())
        if not total:
            return order
        each = self.bound * (total + 1) / sum(map(self._weight, backends))
        full = {name for name in order if loads[name] >= math.ceil(each * self._weight(name))}
        return order if order[0] not in full else sorted(order, key=full.__contains__)

    def _weight(self, name: str) -> float:
        return self.weights.get(name) or self.weights.get(name.partition("/")[0]) or 1.0

    def _score(self, name: str, session: str) -> float:
        digest = hashlib.blake2b(f"{session}\n{name}".encode(), digest_size=8).digest()
        uniform = (int.from_bytes(digest, "big") + 1) / (2**64 + 1)
        return self._weight(name) / math.log(uniform)
