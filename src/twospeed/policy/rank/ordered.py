"""As written: the first backend that can serve gets the request."""

from collections.abc import Callable, Sequence
from typing import Literal

from twospeed.policy.breaker import Health
from twospeed.types import Settings


class Rank(Settings):
    """`rank: {kind: ordered}`, the default: order is priority."""

    kind: Literal["ordered"] = "ordered"
    """Which ordering this is."""

    def order(self, backends: Sequence[str], health: Health, session: str, load: Callable[[str], int]) -> list[str]:
        """Return the names best first, here as they came."""
        return list(backends)
