"""Sessions in mapped cells: who was served where, known to all workers of a host."""

from collections.abc import Callable

from twospeed.policy.affinity import Bound
from twospeed.stores.shared.rows import Table, digest

Clock = Callable[[], float]  # seconds since boot, the same for all workers: time.monotonic

WAYS = 8  # sessions compete for room in sets of this size
_WIDTH = 6  # two integers of the key, number of the backend's row + 1, end in microseconds, tokens, micro-dollars
_MICRO = 1_000_000
_TIERS = {"fast": -1, "deep": -2}  # where a pin leads that names no backend
_TIER_NAMES = {number: tier for tier, number in _TIERS.items()}


def width(sessions: int) -> int:
    """Return the cells needed for that many sessions, in whole sets, and one for when the last pin ends."""
    return -(-sessions // WAYS) * WAYS * _WIDTH + 1


class SharedAffinity:
    """`Affinity` of the workers of one host: sessions in sets of WAYS, the one served longest ago makes room.

    Takes no lock: two workers that write one place at once lose a cache hit, no more.
    """

    def __init__(self, cells: memoryview, backends: Table, clock: Clock, ttl: float) -> None:
        self._cells = cells
        self._sets = (len(cells) - 1) // (WAYS * _WIDTH)
        self._pins_end = len(cells) - 1
        self._backends = backends
        self._clock = clock
        self._ttl = ttl
        self._numbers: dict[str, int] = {}
        self._names: dict[int, str] = {}

    def get(self, session: str) -> str | None:
        """Return the backend that served the session last."""
        at = self._valid(session)
        return self._name(self._cells[at + 2]) if at is not None else None

    def bound(self, session: str) -> Bound | None:
        """Return where the session stands."""
        at = self._valid(session)
        if at is None:
            return None
        _, _, number, end, tokens, spent = self._cells[at : at + _WIDTH]
        return Bound(self._name(number), end / _MICRO - self._ttl, tokens, spent / _MICRO)

    def put(self, session: str, backend: str, tokens: int = 0, spent: float = 0.0) -> None:
        """Note that `backend` served the session just now; not kept when there is no row for the backend."""
        self._write(session, backend, self._ttl, tokens, spent)

    def pin(self, session: str, to: str, seconds: float) -> None:
        """Send the session somewhere, for all workers."""
        ends = int((self._clock() + seconds) * _MICRO)
        self._cells[self._pins_end] = max(self._cells[self._pins_end], ends)
        self._write(_pin_of(session), to, seconds, 0, 0.0)

    def pinned(self, session: str) -> str | None:
        """Return where an operator has sent the session."""
        if self._cells[self._pins_end] <= self._clock() * _MICRO:
            return None
        return self.get(_pin_of(session))

    def _write(self, session: str, backend: str, seconds: float, tokens: int, spent: float) -> None:
        number = self._number(backend)
        key = digest(session)
        at = self._place(key)
        if number is None:
            return
        if at is None:
            at = min(self._ways(key), key=lambda way: self._cells[way + 3])
        cells = self._cells
        cells[at + 3] = 0  # nobody believes the place while it changes hands
        cells[at], cells[at + 1], cells[at + 2] = *key, number + 1 if number >= 0 else number
        cells[at + 4], cells[at + 5] = tokens, int(spent * _MICRO)
        cells[at + 3] = int((self._clock() + seconds) * _MICRO)

    def _valid(self, session: str) -> int | None:
        at = self._place(digest(session))
        return None if at is None or self._cells[at + 3] <= self._clock() * _MICRO else at

    def _name(self, cell: int) -> str:
        if cell < 0:
            return _TIER_NAMES[cell]
        name = self._names.get(cell - 1)
        if name is None:
            name = self._names[cell - 1] = self._backends.name(cell - 1)
        return name

    def _number(self, backend: str) -> int | None:
        number = _TIERS.get(backend)
        if number is None:
            number = self._numbers.get(backend)
        if number is None:
            number = self._backends.claim(backend)
            if number is not None:
                self._numbers[backend] = number
        return number

    def _ways(self, key: tuple[int, int]) -> range:
        start = key[0] % self._sets * WAYS * _WIDTH
        return range(start, start + WAYS * _WIDTH, _WIDTH)

    def _place(self, key: tuple[int, int]) -> int | None:
        cells = self._cells
        for at in self._ways(key):
            if cells[at] == key[0] and cells[at + 1] == key[1]:
                return at
        return None


def _pin_of(session: str) -> str:
    return f"{session}:pin"
