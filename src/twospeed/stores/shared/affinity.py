"""Sessions in mapped cells: who was served where, known to all workers of a host."""

from collections.abc import Callable

from twospeed.stores.shared.rows import Table, digest

Clock = Callable[[], float]  # seconds since boot, the same for all workers: time.monotonic

WAYS = 8  # sessions compete for room in sets of this size
_WIDTH = 4  # two integers of the key, number of the backend's row + 1, end in microseconds
_MICRO = 1_000_000


def width(sessions: int) -> int:
    """Return the cells needed for that many sessions, in whole sets."""
    return -(-sessions // WAYS) * WAYS * _WIDTH


class SharedAffinity:
    """`Affinity` of the workers of one host: sessions in sets of WAYS, the one served longest ago makes room.

    Takes no lock: two workers that write one place at once lose a cache hit, no more.
    """

    def __init__(self, cells: memoryview, backends: Table, clock: Clock, ttl: float) -> None:
        self._cells = cells
        self._sets = len(cells) // (WAYS * _WIDTH)
        self._backends = backends
        self._clock = clock
        self._ttl = ttl
        self._numbers: dict[str, int] = {}
        self._names: dict[int, str] = {}

    def get(self, session: str) -> str | None:
        """Return the backend that served the session last."""
        at = self._place(digest(session))
        if at is None or self._cells[at + 3] <= self._clock() * _MICRO:
            return None
        number = self._cells[at + 2] - 1
        name = self._names.get(number)
        if name is None:
            name = self._names[number] = self._backends.name(number)
        return name

    def put(self, session: str, backend: str) -> None:
        """Note that `backend` served the session just now; not kept when there is no row for the backend."""
        number = self._number(backend)
        key = digest(session)
        at = self._place(key)
        if number is None:
            return
        if at is None:
            at = min(self._ways(key), key=lambda way: self._cells[way + 3])
        self._cells[at + 3] = 0  # nobody believes the place while it changes hands
        self._cells[at], self._cells[at + 1], self._cells[at + 2] = *key, number + 1
        self._cells[at + 3] = int((self._clock() + self._ttl) * _MICRO)

    def _number(self, backend: str) -> int | None:
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
