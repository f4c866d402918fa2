"""Spread sessions over backends by weight; a session always meets the same order.

Source: weighted rendezvous hashing (Schindelhauer and Schomaker, 2005): score = -weight / ln(u), u uniform per pair.
"""

import hashlib
import math
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from twospeed.policy.breaker import Health
from twospeed.types import Settings


class Rank(Settings):
    """`rank: {kind: weighted}`.

    >>> rank = Rank(weights={"a/m@r": 3.0})
    >>> rank.order(["a/m@r", "b/m@r"], None, "s1") == rank.order(["b/m@r", "a/m@r"], None, "s1")
    True
    """

    kind: Literal["weighted"] = "weighted"
    """Which ordering this is."""
    weights: dict[str, Annotated[float, Field(gt=0)]] = {}
    """Share per backend name or provider name; those not named count 1. Only ratios matter."""

    def order(self, backends: Sequence[str], health: Health | None, session: str) -> list[str]:
        """Return the names best first: the same for the same session whatever else is listed."""
        return sorted(backends, key=lambda name: self._score(name, session))

    def _score(self, name: str, session: str) -> float:
        weight = self.weights.get(name) or self.weights.get(name.partition("/")[0]) or 1.0
        digest = hashlib.blake2b(f"{session}\n{name}".encode(), digest_size=8).digest()
        uniform = (int.from_bytes(digest, "big") + 1) / (2**64 + 1)
        return weight / math.log(uniform)
