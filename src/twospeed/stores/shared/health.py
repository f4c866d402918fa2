"""Breakers in mapped rows: the table of `policy.breaker`, driven by all workers of a host.

As long as all goes well a success is a number kept by the worker, given to the others ten times a second; everything else
is a step under the file's lock.
"""

from array import array
from collections.abc import Callable

import msgspec

from twospeed.errors import Kind
from twospeed.policy.breaker import SLICES, Breaker, Signal, State, Status, credit, news, recent, step, wait
from twospeed.stores.shared.rows import HEAD, Table

Clock = Callable[[], float]  # seconds since boot, the same for all workers: time.monotonic
Changed = Callable[[str, Signal], None]

FLUSH = 0.1  # seconds for which a worker keeps successes to itself
_MICRO = 1_000_000

# A row: name, which copy of the state is valid, who probes (worker + 1), time to first token, two copies.
_VALID, _PROBER, _FIRST_TOKEN, _COPIES = HEAD, HEAD + 1, HEAD + 2, HEAD + 3
_STATUS, _FAILURES, _PAST = 0, 4, 10  # places in a copy, order of the fields of State
_SIZE = _PAST + 3 * SLICES
WIDTH = _COPIES + 2 * _SIZE
_STATUSES = tuple(Status)


class _Backend(msgspec.Struct, gc=False):
    row: memoryview
    uncounted: int = 0  # successes this worker keeps to itself
    count_at: float = 0.0


class SharedHealth:
    """`Health` of the workers of one host. Successes reach the others within FLUSH, everything else at once.

    `settings` may be replaced; what is open already stays so for as long as it was meant to.

    Args:
        worker: Number of this worker, 0 to WORKERS - 1; one alive at a time.
        roll: Chance, in [0, 1).
        changed: Told when a breaker opens or closes by what this worker saw.
    """

    def __init__(
        self,
        table: Table,
        worker: int,
        settings: Breaker,
        clock: Clock,
        roll: Callable[[], float],
        changed: Changed = lambda *_: None,
    ) -> None:
        self._region = table.region
        self._table = table
        self._worker = worker
        self.settings = settings
        self._clock = clock
        self._roll = roll
        self._changed = changed
        self._backends: dict[str, _Backend] = {}

    def usable(self, backend: str) -> bool:
        """Say whether the breaker is closed."""
        known = self._backends.get(backend) or self._find(backend)
        return known is None or known.row[_current(known.row) + _STATUS] == 0

    def probe(self, backend: str) -> bool:
        """Claim the one probe; False while it must not be or is taken."""
        return self._claim(backend, Signal.PROBE)

    def last_resort(self, backend: str) -> bool:
        """Claim the one try per second that even an open breaker allows when nothing else is left."""
        return self._claim(backend, Signal.LAST_RESORT)

    def wait(self, backend: str) -> float:
        """Return the seconds until the backend may be tried."""
        known = self._backends.get(backend) or self._find(backend)
        return wait(self.settings, _load(known.row), self._clock()) if known else 0.0

    def succeeded(self, backend: str, first_token: float | None) -> None:
        """Count a success; without a lock as long as all is well."""
        known = self._backends.get(backend) or self._open(backend)
        row = known.row
        if first_token is not None:
            before = row[_FIRST_TOKEN] / _MICRO or None
            row[_FIRST_TOKEN] = round(recent(before, first_token) * _MICRO)
        at = _current(row)
        now = self._clock()
        if row[at + _STATUS] or row[at + _FAILURES] or now >= known.count_at:
            self._signal(backend, known, Signal.SUCCESS, now)
        else:
            known.uncounted += 1

    def failed(self, backend: str, kind: Kind) -> None:
        """Count a failure."""
        known = self._backends.get(backend) or self._open(backend)
        self._signal(backend, known, Signal.FAILURE, self._clock())

    def released(self, backend: str) -> None:
        """Give back a probe that ended without a verdict on the backend."""
        known = self._backends.get(backend) or self._open(backend)
        self._signal(backend, known, Signal.RELEASE, self._clock())

    def heard(self, backend: str, signal: Signal) -> None:
        """Take note of what a replica on another host saw: HEARD_OPEN or HEARD_CLOSED. One worker does so for all."""
        self._step(self._backends.get(backend) or self._open(backend), signal, self._clock())

    def first_token(self, backend: str) -> float | None:
        """Return the recent time to first token in seconds."""
        known = self._backends.get(backend) or self._find(backend)
        return (known.row[_FIRST_TOKEN] / _MICRO or None) if known else None

    def states(self) -> dict[str, Status]:
        """Return the status of every backend any worker ever tried."""
        table = self._table
        return {table.name(number): _load(table.row(number)).status for number in table.taken()}

    def _find(self, name: str) -> _Backend | None:
        number = self._table.peek(name)
        if number is None:
            return None
        known = self._backends[name] = _Backend(self._table.row(number))
        return known

    def _open(self, name: str) -> _Backend:
        known = self._backends[name] = _Backend(self._table.open(name))
        return known

    def _claim(self, backend: str, signal: Signal) -> bool:
        known = self._backends.get(backend) or self._open(backend)
        before, after = self._signal(backend, known, signal, self._clock())
        if after is not before and signal is Signal.PROBE:
            known.row[_PROBER] = self._worker + 1
        return after is not before or before.status is Status.CLOSED

    def _signal(self, backend: str, known: _Backend, signal: Signal, now: float) -> tuple[State, State]:
        before, after = self._step(known, signal, now)
        if after.status is not before.status and (told := news(before, after)):
            self._changed(backend, told)
        return before, after

    def _step(self, known: _Backend, signal: Signal, now: float) -> tuple[State, State]:
        self._region.lock()
        try:
            before = found = _load(known.row)
            if known.uncounted and found.status is Status.CLOSED:
                before = credit(self.settings, found, known.uncounted, now)
            known.uncounted, known.count_at = 0, now + FLUSH
            after = step(self.settings, before, signal, now, self._roll())
            if after is not found:
                _store(known.row, after)
            return before, after
        finally:
            self._region.unlock()


def _current(row: memoryview) -> int:
    return _COPIES + _SIZE if row[_VALID] else _COPIES


def _load(row: memoryview) -> State:
    at = _current(row)
    status, since, until, times, failures, resort_at, index, good, bad, slices = row[at : at + _PAST]
    past = row[at + _PAST : at + _PAST + 3 * slices].tolist()
    return State(
        _STATUSES[status],
        since / _MICRO,
        until / _MICRO,
        times,
        failures,
        resort_at / _MICRO,
        index,
        good,
        bad,
        tuple(zip(past[::3], past[1::3], past[2::3], strict=True)),
    )


def _store(row: memoryview, state: State) -> None:
    """Write the copy that is not valid, then make it the valid one: a writer killed in between changes nothing."""
    values = [
        _STATUSES.index(state.status),
        round(state.since * _MICRO),
        round(state.until * _MICRO),
        state.times,
        state.failures,
        round(state.resort_at * _MICRO),
        state.index,
        state.good,
        state.bad,
        len(state.past),
        *(number for old in state.past for number in old),
    ]
    spare = 1 - row[_VALID]
    at = _COPIES + spare * _SIZE
    row[at : at + len(values)] = array("q", values)
    row[_VALID] = spare


def forget(table: Table, worker: int, now: float) -> None:
    """Give back the probes of a dead worker."""
    table.region.lock()
    try:
        for row in map(table.row, table.taken()):
            if row[_PROBER] == worker + 1:
                row[_PROBER] = 0
                _store(row, step(Breaker(), _load(row), Signal.RELEASE, now, 0.0))
    finally:
        table.region.unlock()
