"""Limits in Redis: one step per admission, on the time of Redis, for all replicas together (R18-R22).

Beside it this process counts by itself what it admits, so that it can go on when Redis is away: then it keeps to its share
of each limit, counted from what it has used already, and for the first minute also to its part of what was left when Redis
last answered, because others may have used more than theirs. What it admits alone it owes; when Redis is back it is told, and
told everything when it has forgotten. Settling never waits: it is sent with the next turn of the event loop, or kept until
Redis is back; what is lost leaves the window within a minute, and a slot within the lease.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from importlib.resources import files
from math import ceil
from operator import sub
from typing import Any

import msgspec

from twospeed.policy.limit import LEASE, Ask, Leases, Level, Limit, Permit, Refusal, least, remainder, share
from twospeed.policy.window import CELLS, MOST_COOLDOWN, RATE, WINDOW, Meter, bounded, levels
from twospeed.stores.redis.link import Link, Trouble
from twospeed.stores.redis.replica import Replica
from twospeed.stores.redis.script import Form, Script, Word

BACKLOG = 10_000  # corrections kept per pool while Redis is away, the latest
RECENT = 3.0  # seconds for which others may still reach Redis, or be about to, when this process does not
STALE = 1.0  # seconds after which others' requests under way are asked for anew, while nothing else tells
NONE = "-"  # where a line has nothing to say: no instant, no slot
SLOTS = 1_000  # requests under way told in one step
_MICRO = 1_000_000
_SCRIPT = Script(files(__package__).joinpath("limit.lua").read_text())

Clock = Callable[[], float]


class _Permit(Permit):
    """`at` is the instant here; `bucket` the one in Redis, None when admitted alone; `round`: of the pool's debts."""

    bucket: int | None = None
    round: int = 0


class _Pool(msgspec.Struct):
    """What one process knows of a pool.

    `own`: all it admitted; `owed`: what Redis does not know of; `round`: how often it has told. `shift`: buckets of
    Redis minus buckets here. `seen`: requests, input, output tokens, requests under way, as Redis said last; `mine`: of
    them this process's own. `left`: what follows from both for this process, None until it is asked for.
    """

    link: Link
    keys: tuple[str, str]
    correcting: Form
    taking: Form
    own: Meter
    owed: Meter
    leases: Leases
    backlog: deque[str]
    limit: Limit = Limit()
    within: Limit | None = None
    taking_within: Form | None = None
    part: Limit = Limit()
    replicas: int = 0
    round: int = 0
    shift: int = 0
    seen: Sequence[int] = (0, 0, 0, 0)
    mine: Sequence[int] = (0, 0, 0, 0)
    seen_at: float = -WINDOW
    left: Limit | None = None
    hear: Callable[[Any], None] | None = None  # what Redis says of it


class RedisLimits:
    """`Limits` of all replicas.

    Args:
        clock: Seconds, for what this process counts by itself.
        lease: Seconds a concurrency slot outlives the last sign of life of its owner.
        instant: Microseconds instead of the time of Redis, for tests; NONE is the time of Redis.
    """

    def __init__(
        self, replica: Replica, clock: Clock, lease: float = LEASE, instant: Callable[[], int | str] = lambda: NONE
    ) -> None:
        self.alone = 0  # decisions taken without Redis
        self._replica = replica
        self._clock = clock
        self._lease = lease
        self._lease_us = round(lease * _MICRO)
        self._instant = instant
        self._pools: dict[str, _Pool] = {}
        self._taken = 0

    async def take(self, ask: Ask) -> Permit | Refusal:
        """Admit to all dimensions of the pool or to none; bounded by the timeout of the link."""
        pool = self._pool(ask.pool)
        if pool.limit is not ask.limit:
            self._note(pool, ask.limit)
        if not pool.link.up:
            return self._take_alone(pool, ask)
        self._taken += 1
        permit = f"{self._replica.name}-{self._taken}"
        instant = self._instant()
        latest = pool.link.latest() if instant == NONE else NONE
        line = f"{instant} {permit} {ask.input_tokens} {ask.output_tokens} {latest}"
        form = pool.taking if ask.within is None else self._taking_within(pool, ask.within)
        orphan = partial(self._orphan, pool, permit, ask)
        lost = _lost(pool, permit) if ask.limit.concurrency is not None else None
        try:
            coming = pool.link.call(form, line, orphan, lost)
            try:
                answer: Any = await coming
            except asyncio.CancelledError:
                if not (coming.cancelled() or coming.exception()):
                    orphan(coming.result())  # it came in the very turn in which the client left
                raise
        except Trouble:
            if lost is not None:
                lost()
            return self._take_alone(pool, ask)
        if answer[0] > 0:
            return self._admitted(pool, permit, ask, answer)
        return self._refused(pool, answer) if answer[0] == 0 else self._take_alone(pool, ask)

    def settle(self, permit: Permit, input_tokens: int, output_tokens: int) -> None:
        """Replace the estimate by what was used and end the slot; a second call is ignored."""
        if not permit.settled:
            ask = permit.ask
            self._finish(
                permit, 0, bounded(input_tokens) - ask.input_tokens, bounded(output_tokens) - ask.output_tokens
            )

    def refund(self, permit: Permit) -> None:
        """Give everything back; ignored after `settle` or `refund`."""
        if not permit.settled:
            self._finish(permit, -1, -permit.ask.input_tokens, -permit.ask.output_tokens)

    def touch(self, permit: Permit) -> None:
        """Keep the slot of a long request."""
        pool = self._pool(permit.ask.pool)
        if not permit.settled and pool.leases.touch(permit.id, self._clock()) and pool.link.up:
            self._tell(pool, "touch", permit.id, self._lease_us)

    def learn(self, pool: str, dimension: str, remaining: int, reset_after: float) -> None:
        """Correct a pool downwards by the provider's own count, under the limit it was last asked with."""
        known = self._pool(pool)
        most = getattr(known.limit, dimension)
        if most is None:
            return
        remaining, reset_after = bounded(remaining), min(max(0.0, reset_after), WINDOW)
        known.own.learn(self._part(known), dimension, remaining, reset_after, self._clock())
        if known.link.up:
            self._tell(known, "learn", dimension, most, remaining, round(reset_after * _MICRO))

    def cool(self, pool: str, seconds: float) -> None:
        """Silence a pool for all replicas."""
        known = self._pool(pool)
        seconds = min(max(0.0, seconds), MOST_COOLDOWN)
        known.own.cool(seconds, self._clock())
        if known.link.up:
            self._tell(known, "cool", round(seconds * _MICRO))

    def levels(self, pool: str) -> list[Level]:
        """Say how full one pool is: as Redis said last, or of this process's share while it is away."""
        known, now = self._pools.get(pool), self._clock()
        if known is None:
            return []
        if not known.link.up:
            return levels(pool, self._part(known), known.own, known.leases.busy(now, 0), now)
        requests, read, written, busy = known.seen if now - known.seen_at < WINDOW else (0, 0, 0, 0)
        used = {"rpm": requests, "tpm": read + written, "itpm": read, "otpm": written, "concurrency": busy}
        return [Level(pool, part, most, used[part]) for part, most in known.limit if most is not None]

    def usage(self) -> list[Level]:
        """Say how full each limited dimension of each pool is."""
        return [level for name in self._pools for level in self.levels(name)]

    async def rejoin(self, link: Link, forgotten: float) -> None:
        """Tell Redis what it does not know: debts, and what it was told in the last `forgotten` seconds. Raises: Trouble."""
        for pool in list(self._pools.values()):  # more may come while one is told
            if pool.link is link:
                await self._repay(pool, forgotten)
                self._look_again(pool)

    def _look_again(self, pool: _Pool) -> None:
        """Ask how full a pool is, where all that is known of those under way is what others had a while ago."""
        now = self._clock()
        if pool.link.up and pool.seen[3] > len(pool.leases) and STALE <= now - pool.seen_at < WINDOW:
            pool.link.tell(pool.correcting, f"{self._instant()} {NONE} 0 0 0 0", pool.hear)

    async def _repay(self, pool: _Pool, forgotten: float) -> None:
        now = self._clock()
        back = ceil(min(forgotten, WINDOW) * RATE)
        debts = pool.owed
        charges = [charge for charge in debts.charges(now) if charge[0] >= back]
        if back:
            charges += [charge for charge in pool.own.charges(now) if charge[0] < back]
        if forgotten:
            pool.backlog.clear()  # what was corrected here is told as it is now
        if charges or not pool.link.up:
            pool.owed = Meter([0] * CELLS)
            pool.round += 1
            try:
                await self._merge(pool, charges, now)
            except Trouble:
                for charge in debts.charges(now):
                    pool.owed.charge(*charge, now)
                raise
        while pool.backlog:
            pool.link.tell(pool.correcting, f"{self._instant()} {pool.backlog.popleft()}")

    async def _merge(self, pool: _Pool, charges: list[tuple[int, int, int, int]], now: float) -> None:
        silence = round(pool.own.cooling(now) * _MICRO)
        slots = [(permit, round((lapse - now) * _MICRO)) for permit, lapse in pool.leases.lapses() if lapse > now]
        for start in range(0, max(len(slots), 1), SLOTS):
            told = [word for slot in slots[start : start + SLOTS] for word in slot]
            flat = [number for charge in charges for number in charge]
            words = ("merge", f"{self._instant()} {silence} {len(charges)}", *flat, *told)
            newest: Any = await pool.link.ask(_SCRIPT, pool.keys, words)
            pool.shift = newest - int(now * RATE)
            charges = []

    def _pool(self, name: str) -> _Pool:
        pool = self._pools.get(name)
        if pool is None:
            tag = name.partition("/")[0]
            keys = (self._replica.key(tag, name), self._replica.key(tag, name + ":slots"))
            own, owed, leases = Meter([0] * CELLS), Meter([0] * CELLS), Leases(self._lease)
            correcting, taking = Form(_SCRIPT, keys, ("correct",)), self._taking(keys, Limit())
            pool = _Pool(self._replica.link(tag), keys, correcting, taking, own, owed, leases, deque(maxlen=BACKLOG))
            pool.hear = partial(self._hear, pool)
            self._pools[name] = pool
        return pool

    def _part(self, pool: _Pool) -> Limit:
        """Return this process's share of the limit."""
        if pool.replicas != self._replica.replicas:
            pool.replicas = self._replica.replicas
            pool.part = share(pool.limit, pool.replicas)
            pool.left = None
        return pool.part

    def _allowance(self, pool: _Pool, now: float) -> Limit:
        """Return what this process may have used in all while it decides alone."""
        part = self._part(pool)
        if now - pool.seen_at >= WINDOW:
            return part
        if now - pool.seen_at < RECENT:
            # Nothing but what was left: others that still reach Redis may have taken what has come free here.
            return _left(pool, (*map(sub, pool.own.sums(now), pool.owed.sums(now)), pool.mine[3]))
        if pool.left is None:
            pool.left = _left(pool, pool.mine).model_copy(update={"concurrency": part.concurrency})
        return pool.left

    def _take_alone(self, pool: _Pool, ask: Ask) -> Permit | Refusal:
        self.alone += 1
        now = self._clock()
        part = self._allowance(pool, now)
        for dimension, most in part:
            if most == 0:
                passing = dimension == "concurrency" or getattr(_left(pool, pool.mine), dimension)
                return Refusal(dimension, RECENT if passing else pool.seen_at + WINDOW - now)
        if ask.within is not None:
            part = _least(part, share(ask.within, pool.replicas))
        busy = 0 if part.concurrency is None else pool.leases.busy(now, part.concurrency)
        refusal = pool.own.take(Ask(ask.pool, part, ask.input_tokens, ask.output_tokens), busy, now)
        if refusal is not None:
            return refusal
        pool.owed.charge(0, 1, ask.input_tokens, ask.output_tokens, now)
        self._taken += 1
        permit = _Permit(f"{self._replica.name}-{self._taken}", ask, now, round=pool.round)
        if part.concurrency is not None:
            pool.leases.begin(permit.id, now)
        return permit

    def _admitted(self, pool: _Pool, permit: str, ask: Ask, answer: list[Any]) -> Permit:
        now = self._clock()
        _, bucket, *seen = answer
        pool.own.charge(0, 1, ask.input_tokens, ask.output_tokens, now)
        if ask.limit.concurrency is not None:
            pool.leases.begin(permit, now)
        _heard(pool, seen, now)
        return _Permit(permit, ask, now, bucket=bucket)

    def _refused(self, pool: _Pool, answer: list[Any]) -> Refusal:
        now = self._clock()
        _, dimension, wait, *seen = answer
        _heard(pool, seen, now)
        if dimension == b"cooldown":
            pool.own.cool(wait / _MICRO, now)
        return Refusal(dimension.decode(), wait / _MICRO)

    def _orphan(self, pool: _Pool, permit: str, ask: Ask, answer: Any) -> None:
        """Give back an admission whose caller had given up before it came."""
        if answer[0] > 0 and pool.link.up:
            slot = permit if ask.limit.concurrency is not None else NONE
            self._tell(pool, "correct", slot, answer[1], -1, -ask.input_tokens, -ask.output_tokens)

    def _finish(self, permit: Permit, requests: int, read: int, written: int) -> None:
        assert isinstance(permit, _Permit)
        permit.settled = True
        ask, now = permit.ask, self._clock()
        pool = self._pool(ask.pool)
        pool.own.correct(permit.at, requests, read, written, now)
        pool.leases.end(permit.id)
        bucket = permit.bucket
        if bucket is None:
            here = int(permit.at * RATE)
            if permit.round == pool.round:  # Redis has not been told of it
                pool.owed.charge(int(now * RATE) - here, requests, read, written, now)
                return
            bucket = here + pool.shift
        held = ask.limit.concurrency is not None
        line = f"{permit.id if held else NONE} {bucket} {requests} {read} {written}"
        if pool.link.up:
            lost = _lost(pool, permit.id) if held else None
            pool.link.tell(pool.correcting, f"{self._instant()} {line}", pool.hear, lost)
        else:
            pool.backlog.append(line)

    def _hear(self, pool: _Pool, seen: Any) -> None:
        _heard(pool, seen, self._clock())

    def _tell(self, pool: _Pool, step: str, *words: Word) -> None:
        line = " ".join(map(str, (self._instant(), *words)))
        pool.link.tell(Form(_SCRIPT, pool.keys, (step,)), line)

    def _note(self, pool: _Pool, limit: Limit) -> None:
        pool.limit = limit
        pool.replicas = 0  # its part is computed anew
        pool.taking = self._taking(pool.keys, limit)

    def _taking(self, keys: tuple[str, str], limit: Limit) -> Form:
        return Form(_SCRIPT, keys, ("take",), (*(most or 0 for _, most in limit), self._lease_us))

    def _taking_within(self, pool: _Pool, within: Limit) -> Form:
        if pool.taking_within is None or pool.within is not within:
            pool.within = within
            pool.taking_within = self._taking(pool.keys, within)
        return pool.taking_within


def _left(pool: _Pool, own: Sequence[int]) -> Limit:
    """Return this process's share, or less: what it has used and an equal part of what was left."""
    return least(pool.part, remainder(pool.limit, pool.replicas, pool.seen, own))


def _lost(pool: _Pool, permit: str) -> Callable[[], None]:
    """Return what ends the slot of a permit later on, where it is not known whether Redis holds it; to end it twice is no harm."""
    return partial(pool.backlog.append, f"{permit} 0 0 0 0")


def _heard(pool: _Pool, seen: Any, now: float) -> None:
    pool.seen, pool.seen_at = seen, now
    pool.mine = (*pool.own.sums(now), len(pool.leases))
    pool.left = None


def _least(one: Limit, other: Limit) -> Limit:
    return one.model_copy(update={name: min(most, getattr(other, name)) for name, most in one if most is not None})
