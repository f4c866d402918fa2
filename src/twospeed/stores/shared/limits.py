"""Limits in mapped rows: the windows of `policy.window`, counted by all workers of a host.

Each step holds the file's lock for a few microseconds. A row is marked while it is being changed; who finds a mark
left by a dead worker makes the sums true again. Requests under way are one number per worker, so that those of a dead
one can be struck out at once.
"""

from collections.abc import Callable

import msgspec

from twospeed.policy.limit import LEASE, Ask, Leases, Level, Limit, Permit, Refusal
from twospeed.policy.window import CELLS, MARK, Meter, levels
from twospeed.stores.shared.rows import HEAD, WORKERS, Table

Clock = Callable[[], float]  # seconds since boot, the same for all workers: time.monotonic

# A row: name, limit of the latest ask, windows, requests under way per worker, when each worker was last heard of.
_LIMIT = HEAD
_METER = _LIMIT + len(Limit.model_fields)
_BUSY = _METER + CELLS
_SEEN = _BUSY + WORKERS
WIDTH = _SEEN + WORKERS
_MICRO = 1_000_000


class _Pool(msgspec.Struct, gc=False):
    row: memoryview
    windows: memoryview  # of the row
    meter: Meter
    leases: Leases  # of this worker
    limit: Limit | None = None  # of this worker's latest ask


class SharedLimits:
    """`Limits` of the workers of one host.

    Args:
        worker: Number of this worker, 0 to WORKERS - 1; one alive at a time.
        lease: Seconds a concurrency slot outlives the last sign of life of its request, or of its worker.
    """

    def __init__(self, table: Table, worker: int, clock: Clock, lease: float = LEASE) -> None:
        self._region = table.region
        self._table = table
        self._worker = worker
        self._own_busy, self._own_seen = _BUSY + worker, _SEEN + worker
        self._clock = clock
        self._lease = lease
        self._pools: dict[str, _Pool] = {}
        self._taken = 0

    async def take(self, ask: Ask) -> Permit | Refusal:
        """Admit to all dimensions of the pool or to none. Waits at most PATIENCE for other workers."""
        pool = self._pools.get(ask.pool) or self._open(ask.pool)
        most = (ask.within or ask.limit).concurrency
        held = self._enter(pool)
        try:
            now = self._clock()
            if pool.limit is not ask.limit:
                _note(pool, ask.limit)
            busy = 0 if most is None else self._busy(pool, now, most)
            refusal = pool.meter.take(ask, busy, now)
            if refusal is not None:
                return refusal
            self._taken += 1
            permit = Permit(f"{self._worker}-{self._taken}", ask, now)
            if most is not None:
                pool.leases.begin(permit.id, now)
                self._publish(pool, now)
            return permit
        finally:
            self._leave(pool, held)

    def settle(self, permit: Permit, input_tokens: int, output_tokens: int) -> None:
        """Replace the estimate by what was used and end the slot; a second call is ignored."""
        if not permit.settled:
            pool, held, now = self._finish(permit)
            try:
                pool.meter.settle(permit, input_tokens, output_tokens, now)
            finally:
                self._leave(pool, held)

    def refund(self, permit: Permit) -> None:
        """Give everything back; ignored after `settle` or `refund`."""
        if not permit.settled:
            pool, held, now = self._finish(permit)
            try:
                pool.meter.refund(permit, now)
            finally:
                self._leave(pool, held)

    def touch(self, permit: Permit) -> None:
        """Keep the slot of a long request."""
        pool = self._pools.get(permit.ask.pool)
        if pool is not None and not permit.settled:
            now = self._clock()
            pool.leases.touch(permit.id, now)
            self._publish(pool, now)

    def learn(self, pool: str, dimension: str, remaining: int, reset_after: float) -> None:
        """Correct a pool downwards by the provider's own count, under the limit it was last asked with."""
        known = self._pools.get(pool) or self._open(pool)
        held = self._enter(known)
        try:
            known.meter.learn(_limit(known.row), dimension, remaining, reset_after, self._clock())
        finally:
            self._leave(known, held)

    def cool(self, pool: str, seconds: float) -> None:
        """Silence a pool for all workers."""
        known = self._pools.get(pool) or self._open(pool)
        held = self._enter(known)
        try:
            known.meter.cool(seconds, self._clock())
        finally:
            self._leave(known, held)

    def levels(self, pool: str) -> list[Level]:
        """Say how full each limited dimension of one pool is."""
        known = self._pools.get(pool)
        return _levels(pool, known.row, self._clock()) if known else []

    def usage(self) -> list[Level]:
        """Say how full each limited dimension of each pool of any worker is."""
        now, table = self._clock(), self._table
        return [level for n in table.taken() for level in _levels(table.name(n), table.row(n), now)]

    def _open(self, name: str) -> _Pool:
        row = self._table.open(name)
        windows = row[_METER:_BUSY]
        pool = self._pools[name] = _Pool(row, windows, Meter(windows), Leases(self._lease))
        return pool

    def _enter(self, pool: _Pool) -> bool:
        held = self._region.lock()
        windows = pool.windows
        if windows[MARK]:
            pool.meter.repair()
        windows[MARK] = 1
        return held

    def _leave(self, pool: _Pool, held: bool) -> None:
        if held:
            pool.windows[MARK] = 0
            self._region.unlock()

    def _finish(self, permit: Permit) -> tuple[_Pool, bool, float]:
        permit.settled = True
        pool = self._pools.get(permit.ask.pool) or self._open(permit.ask.pool)
        held = self._enter(pool)
        now = self._clock()
        if permit.ask.limit.concurrency is not None:
            pool.leases.end(permit.id)
            self._publish(pool, now)
        return pool, held, now

    def _publish(self, pool: _Pool, now: float) -> None:
        """Tell the others how many requests of this worker are under way, and that it is alive."""
        row = pool.row
        row[self._own_busy] = len(pool.leases)
        row[self._own_seen] = int(now * _MICRO)

    def _busy(self, pool: _Pool, now: float, most: int) -> int:
        """Count the requests under way; the lapsed ones are looked for when there seem to be `most` or more."""
        row = pool.row
        busy = sum(row[_BUSY:_SEEN])
        if busy < most:
            return busy
        pool.leases.busy(now, 0)
        row[self._own_busy] = len(pool.leases)
        silent = int((now - self._lease) * _MICRO)
        for worker in range(WORKERS):
            if row[_BUSY + worker] and row[_SEEN + worker] <= silent:
                row[_BUSY + worker] = 0
        return sum(row[_BUSY:_SEEN])


def _note(pool: _Pool, limit: Limit) -> None:
    pool.limit = limit
    for place, (_, most) in enumerate(limit):
        pool.row[_LIMIT + place] = most or 0


def _levels(pool: str, row: memoryview, now: float) -> list[Level]:
    return levels(pool, _limit(row), Meter(row[_METER:_BUSY]), sum(row[_BUSY:_SEEN]), now)


def _limit(row: memoryview) -> Limit:
    values = {name: row[_LIMIT + place] or None for place, name in enumerate(Limit.model_fields)}
    return Limit.model_validate(values)


def forget(table: Table, worker: int) -> None:
    """Strike out the requests under way of a dead worker."""
    for number in table.taken():
        table.row(number)[_BUSY + worker] = 0
