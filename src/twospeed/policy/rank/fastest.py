"""Lowest recent time to first token first."""

from collections.abc import Callable, Sequence
from typing import Literal

from twospeed.policy.breaker import Health
from twospeed.types import Settings


class Rank(Settings):
    """`rank: {kind: fastest}`."""

    kind: Literal["fastest"] = "fastest"
    """Which ordering this is."""

    def order(self, backends: Sequence[str], health: Health, session: str, load: Callable[[str], int]) -> list[str]:
        """Return the names best first. A backend never seen counts as fastest, so that it gets tried."""
        return sorted(backends, key=lambda name: health.first_token(name) or 0.0)
