"""What one process remembers by itself: limits, breakers, and which backend a session was served by.

Drives the pure maths of `policy` with a clock and a source of chance. Nothing here waits, so the event loop makes each
step atomic.
"""

from collections import OrderedDict
from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from twospeed.errors import Kind
from twospeed.policy.affinity import Bound
from twospeed.policy.breaker import Breaker, Signal, State, Status, calm_until, news, recent, step, wait
from twospeed.policy.limit import LEASE, Ask, Leases, Level, Limit, Permit, Refusal
from twospeed.policy.window import CELLS, Meter, levels

Clock = Callable[[], float]
Changed = Callable[[str, Signal], None]


class _Pool(msgspec.Struct, gc=False):
    meter: Meter
    leases: Leases
    limit: Limit  # of the latest ask


class MemoryLimits:
    """`Limits` of one process.

    Args:
        clock: Seconds; never decreasing.
        lease: Seconds a concurrency slot outlives the last sign of life of its owner.
    """

    def __init__(self, clock: Clock, lease: float = LEASE) -> None:
        self._clock = clock
        self._lease = lease
        self._pools: dict[str, _Pool] = {}
        self._taken = 0

    async def take(self, ask: Ask) -> Permit | Refusal:
        """Admit to all dimensions of the pool or to none. Never waits."""
        now = self._clock()
        limit = ask.limit
        pool = self._pools.get(ask.pool)
        if pool is None:
            pool = self._pools[ask.pool] = _Pool(Meter([0] * CELLS), Leases(self._lease), limit)
        pool.limit = limit
        most = (ask.within or limit).concurrency
        busy = 0 if most is None else pool.leases.busy(now, most)
        refusal = pool.meter.take(ask, busy, now)
        if refusal is not None:
            return refusal
        self._taken += 1
        permit = Permit(str(self._taken), ask, now)
        if most is not None:
            pool.leases.begin(permit.id, now)
        return permit

    def settle(self, permit: Permit, input_tokens: int, output_tokens: int) -> None:
        """Replace the estimate by what was used and end the slot; a second call is ignored."""
        pool = self._finish(permit)
        if pool is not None:
            pool.meter.settle(permit, input_tokens, output_tokens, self._clock())

    def refund(self, permit: Permit) -> None:
        """Give everything back; ignored after `settle` or `refund`."""
        pool = self._finish(permit)
        if pool is not None:
            pool.meter.refund(permit, self._clock())

    def touch(self, permit: Permit) -> None:
        """Keep the slot of a long request."""
        pool = self._pools.get(permit.ask.pool)
        if pool is not None and not permit.settled:
            pool.leases.touch(permit.id, self._clock())

    def learn(self, pool: str, dimension: str, remaining: int, reset_after: float) -> None:
        """Correct a pool downwards by the provider's own count; a pool never asked for has nothing to correct."""
        known = self._pools.get(pool)
        if known is not None:
            known.meter.learn(known.limit, dimension, remaining, reset_after, self._clock())

    def cool(self, pool: str, seconds: float) -> None:
        """Silence a pool."""
        known = self._pools.get(pool)
        if known is None:
            known = self._pools[pool] = _Pool(Meter([0] * CELLS), Leases(self._lease), Limit())
        known.meter.cool(seconds, self._clock())

    def levels(self, pool: str) -> list[Level]:
        """Say how full each limited dimension of one pool is."""
        known = self._pools.get(pool)
        if known is None:
            return []
        now = self._clock()
        return levels(pool, known.limit, known.meter, known.leases.busy(now, 0), now)

    def usage(self) -> list[Level]:
        """Say how full each limited dimension of each pool is."""
        return [level for name in self._pools for level in self.levels(name)]

    def _finish(self, permit: Permit) -> _Pool | None:
        if permit.settled:
            return None
        permit.settled = True
        pool = self._pools.get(permit.ask.pool)
        if pool is not None and permit.ask.limit.concurrency is not None:
            pool.leases.end(permit.id)
        return pool


class _Known(msgspec.Struct, gc=False):
    """A breaker. `uncounted`: successes that `state` does not hold yet; before `calm_until` one more is counted there."""

    state: State
    uncounted: int = 0
    calm_until: float = 0.0

    def counted(self) -> State:
        """Return the state with every success in it."""
        state, more = self.state, self.uncounted
        return replace(state, good=state.good + more) if more else state


class MemoryHealth:
    """`Health` of one process: a breaker per backend and its recent time to first token.

    `settings` may be replaced; what is open already stays so for as long as it was meant to.

    Args:
        roll: Chance, in [0, 1).
        changed: Told when a breaker opens or closes by what this process saw.
    """

    def __init__(
        self, settings: Breaker, clock: Clock, roll: Callable[[], float], changed: Changed = lambda *_: None
    ) -> None:
        self.settings = settings
        self._clock = clock
        self._roll = roll
        self._changed = changed
        self._known: dict[str, _Known] = {}
        self._first_token: dict[str, float] = {}

    def usable(self, backend: str) -> bool:
        """Say whether the breaker is closed."""
        known = self._known.get(backend)
        return known is None or known.state.status is Status.CLOSED

    def probe(self, backend: str) -> bool:
        """Claim the one probe; False while it must not be or is taken."""
        return self._claim(backend, Signal.PROBE)

    def last_resort(self, backend: str) -> bool:
        """Claim the one try per second that even an open breaker allows when nothing else is left."""
        return self._claim(backend, Signal.LAST_RESORT)

    def wait(self, backend: str) -> float:
        """Return the seconds until the backend may be tried."""
        known = self._known.get(backend)
        return wait(self.settings, known.state, self._clock()) if known else 0.0

    def succeeded(self, backend: str, first_token: float | None) -> None:
        """Count a success."""
        known = self._known.get(backend)
        if known is not None and self._clock() < known.calm_until:
            known.uncounted += 1
        else:
            self._signal(backend, Signal.SUCCESS)
        if first_token is not None:
            self._first_token[backend] = recent(self._first_token.get(backend), first_token)

    def failed(self, backend: str, kind: Kind) -> None:
        """Count a failure."""
        self._signal(backend, Signal.FAILURE)

    def released(self, backend: str) -> None:
        """Give back a probe that ended without a verdict on the backend."""
        self._signal(backend, Signal.RELEASE)

    def heard(self, backend: str, signal: Signal) -> None:
        """Take note of what another replica saw: HEARD_OPEN or HEARD_CLOSED."""
        self._step(backend, signal)

    def first_token(self, backend: str) -> float | None:
        """Return the recent time to first token in seconds."""
        return self._first_token.get(backend)

    def states(self) -> dict[str, Status]:
        """Return the status of every backend ever tried."""
        return {backend: known.state.status for backend, known in self._known.items()}

    def _signal(self, backend: str, signal: Signal) -> tuple[State, State]:
        before, after = self._step(backend, signal)
        if after.status is not before.status and (told := news(before, after)):
            self._changed(backend, told)
        return before, after

    def _step(self, backend: str, signal: Signal) -> tuple[State, State]:
        known = self._known.get(backend)
        if known is None:
            known = self._known[backend] = _Known(State())
        before = known.counted()
        after = step(self.settings, before, signal, self._clock(), self._roll())
        known.state, known.uncounted = after, 0
        known.calm_until = calm_until(self.settings, after)
        return before, after

    def _claim(self, backend: str, signal: Signal) -> bool:
        before, after = self._signal(backend, signal)
        return after is not before or before.status is Status.CLOSED


class MemoryAffinity:
    """`Affinity` of one process: the latest `size` sessions, each for `ttl` seconds after it was last served."""

    def __init__(self, clock: Clock, ttl: float, size: int) -> None:
        self._clock = clock
        self._ttl = ttl
        self._size = size
        self._served: OrderedDict[str, Bound] = OrderedDict()  # served longest ago first
        self._pins: dict[str, tuple[str, float]] = {}  # by session, with the instant they end

    def get(self, session: str) -> str | None:
        """Return the backend that served the session last."""
        bound = self.bound(session)
        return bound.backend if bound is not None else None

    def bound(self, session: str) -> Bound | None:
        """Return where the session stands."""
        served = self._served.get(session)
        return served if served is not None and served.at + self._ttl > self._clock() else None

    def put(self, session: str, backend: str, tokens: int = 0, spent: float = 0.0) -> None:
        """Note that `backend` served the session just now."""
        self._served.pop(session, None)
        self._served[session] = Bound(backend, self._clock(), tokens, spent)
        if len(self._served) > self._size:
            self._served.popitem(last=False)

    def pin(self, session: str, to: str, seconds: float) -> None:
        """Send the session somewhere; pins that have ended make room."""
        now = self._clock()
        self._pins = {name: pin for name, pin in self._pins.items() if pin[1] > now and name != session}
        if seconds > 0:
            self._pins[session] = to, now + seconds

    def pinned(self, session: str) -> str | None:
        """Return where an operator has sent the session."""
        if not self._pins:
            return None
        to, ends = self._pins.get(session, ("", 0.0))
        return to if ends > self._clock() else None
