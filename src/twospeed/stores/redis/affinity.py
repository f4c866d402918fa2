"""Sessions of all replicas: each remembers all it hears of, and tells the others when a session has moved."""

from collections.abc import Callable

from twospeed.policy.affinity import Affinity


class RedisAffinity:
    """`Affinity` of all replicas. Asking costs no trip; another replica hears of a move within a second.

    Args:
        memory: What this process, or this host, remembers.
        say: Tells the other replicas.
    """

    def __init__(self, memory: Affinity, say: Callable[[str, str], None]) -> None:
        self._memory = memory
        self._say = say

    def get(self, session: str) -> str | None:
        """Return the backend that served the session last."""
        return self._memory.get(session)

    def put(self, session: str, backend: str) -> None:
        """Note that `backend` served the session just now, and say so if that is new."""
        if self._memory.get(session) != backend:
            self._say("session", f"{backend} {session}")
        self._memory.put(session, backend)

    def heard(self, about: str) -> None:
        """Take note of a session that another replica served."""
        backend, _, session = about.partition(" ")
        self._memory.put(session, backend)
