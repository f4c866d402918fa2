"""Sessions of all replicas: each remembers all it hears of, and tells the others when a session has moved or grown."""

from collections.abc import Callable

from twospeed.policy.affinity import Affinity, Bound


class RedisAffinity:
    """`Affinity` of all replicas. Asking costs no trip; another replica hears of a move, or a pin, within a second.

    Of a session that stays where it is the others hear each time its prompt has doubled.

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

    def bound(self, session: str) -> Bound | None:
        """Return where the session stands."""
        return self._memory.bound(session)

    def put(self, session: str, backend: str, tokens: int = 0, spent: float = 0.0) -> None:
        """Note that `backend` served the session just now, and say so if that is new."""
        known = self._memory.bound(session)
        if known is None or known.backend != backend or _grown(known, tokens, spent):
            figures = f" {tokens} {spent:.6f}" if tokens or spent else ""
            self._say("session", f"{backend} {session}{figures}")
        self._memory.put(session, backend, tokens, spent)

    def pin(self, session: str, to: str, seconds: float) -> None:
        """Send the session somewhere, at every replica."""
        self._say("pin", f"{to} {session} {seconds:.0f}")
        self._memory.pin(session, to, seconds)

    def pinned(self, session: str) -> str | None:
        """Return where an operator has sent the session."""
        return self._memory.pinned(session)

    def heard(self, about: str) -> None:
        """Take note of a session that another replica served: backend, session and, where known, tokens and dollars."""
        match about.split(" "):
            case [backend, session, tokens, spent]:
                self._memory.put(session, backend, int(tokens), float(spent))
            case _:
                backend, _, session = about.partition(" ")
                self._memory.put(session, backend)

    def heard_pin(self, about: str, age: float) -> None:
        """Take note of a pin that another replica was told `age` seconds ago: where to, session, seconds."""
        to, session, seconds = about.split(" ")
        self._memory.pin(session, to, max(0.0, float(seconds) - age))


def _grown(known: Bound, tokens: int, spent: float) -> bool:
    return tokens.bit_length() != known.tokens.bit_length() or abs(spent - known.spent) > 1e-6
