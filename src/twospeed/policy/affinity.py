"""Affinity: which backend served a session last, how much it may have cached, and what an operator has decided of it."""

from typing import NamedTuple, Protocol


class Bound(NamedTuple):
    """Where a session stands.

    `at`: instant it was last served. `tokens`: of its prompt that the backend may hold in its cache. `spent`: US dollars
    that changes of tier have cost it so far.
    """

    backend: str
    at: float
    tokens: int = 0
    spent: float = 0.0


class Affinity(Protocol):
    """Where that is kept. Every call returns at once; a forgotten session costs a cache miss, never an error."""

    def get(self, session: str) -> str | None:
        """Return the name of the backend that served the session last, None when unknown or too long ago."""

    def bound(self, session: str) -> Bound | None:
        """Return all that is known of it."""

    def put(self, session: str, backend: str, tokens: int = 0, spent: float = 0.0) -> None:
        """Note that `backend` served the session just now."""

    def pin(self, session: str, to: str, seconds: float) -> None:
        """Send the session to a tier or backend from now on, for so long; 0 seconds end it."""

    def pinned(self, session: str) -> str | None:
        """Return the tier or backend that an operator has sent the session to. Costs one comparison when none is."""
