"""Affinity: which backend served a session last, so that its prompt cache can be used again."""

from typing import Protocol


class Affinity(Protocol):
    """Where that is kept. Both calls return at once; a forgotten session costs a cache miss, never an error."""

    def get(self, session: str) -> str | None:
        """Return the name of the backend that served the session last, None when unknown or too long ago."""

    def put(self, session: str, backend: str) -> None:
        """Note that `backend` served the session just now."""
