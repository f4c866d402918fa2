"""Breaker per backend: closed, open, half open (R8).

Contract only; the table follows in this file.
"""

from typing import Protocol

from twospeed.errors import Kind


class Health(Protocol):
    """Which backends may be tried, and what came of tries. All calls return at once."""

    def usable(self, backend: str) -> bool:
        """Say whether the backend may be tried now without being a probe."""

    def probe(self, backend: str) -> bool:
        """Claim the one probe a half-open breaker allows; False when it is open or the probe is taken."""

    def succeeded(self, backend: str, first_token: float | None) -> None:
        """An attempt ended well; `first_token` in seconds where measured."""

    def failed(self, backend: str, kind: Kind) -> None:
        """An attempt failed with a fault that trips the breaker."""

    def first_token(self, backend: str) -> float | None:
        """Recent time to first token in seconds, None when never seen."""
