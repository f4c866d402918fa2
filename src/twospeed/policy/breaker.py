"""Breaker per backend (R8): stop trying what keeps failing, find out when it works again.

    closed    -- 5 failures in a row, or half of 20 and more in 10 s --> open
    open      -- a probe is claimed after 5 s x times opened -----------> half open
    half open -- the probe succeeds --> closed;  fails --> open, longer;  leaves no verdict --> open, due at once

Only faults that trip (MEANING) are failures: a 429 or a client's own mistake is never reported here. When every backend
of a chain is open, each may still be tried once a second (LAST_RESORT), and a success of such a try closes it. Results
of attempts begun before the breaker opened change nothing while it is open. That another replica's breaker opened is
believed unless our own recent attempts mostly succeed: one replica with a broken network must not close a backend for all.

Source: outlier ejection in Envoy (time x number of ejections); consecutive and ratio rules as in resilience4j.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Protocol

import msgspec
from msgspec.structs import replace
from pydantic import Field

from twospeed.errors import Kind
from twospeed.types import Settings
from twospeed.units import Fraction, PositiveCount, PositiveDuration

SLICES = 10  # the window moves on in steps of a tenth
FOLLOW = 1.0  # seconds: who opened a breaker probes before those who only heard of it
FIRST_TOKEN_WEIGHT = 0.2  # of the newest value in `recent`


class Breaker(Settings):
    """`breaker`: when a backend is left alone, and for how long.

    As it stands: 5 failures in a row, or 10 of 20 within 10 s; then 5 s, 10 s, 15 s ... up to 5 minutes.
    """

    consecutive: PositiveCount = 5
    """Failures in a row that open it."""
    ratio: Annotated[Fraction, Field(gt=0)] = 0.5
    """Share of failures within the window that opens it."""
    minimum: PositiveCount = 20
    """Attempts within the window below which the share says nothing."""
    window: PositiveDuration = 10.0
    """How far back the share looks."""
    open: PositiveDuration = 5.0
    """How long it stays open the first time; the n-th time in a row n times as long."""
    max_open: PositiveDuration = 300.0
    """How long it stays open at most."""
    jitter: Fraction = 0.1
    """How far the time it stays open is varied up and down, so that replicas do not probe together."""
    probe: PositiveDuration = 30.0
    """How long a probe without a result keeps others out."""
    last_resort: PositiveDuration = 1.0
    """When every backend of a chain is open: the time between two tries of each."""


class Status(StrEnum):
    """What a breaker lets through: everything, nothing, one probe."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Signal(StrEnum):
    """What happens to a breaker.

    RELEASE: a probe ended and says nothing about the backend. HEARD_OPEN, HEARD_CLOSED: that of another replica has
    opened or closed.
    """

    SUCCESS = "success"
    FAILURE = "failure"
    PROBE = "probe"
    RELEASE = "release"
    LAST_RESORT = "last_resort"
    HEARD_OPEN = "heard_open"
    HEARD_CLOSED = "heard_closed"


class State(msgspec.Struct, frozen=True, gc=False):
    """A breaker at rest. Instants in seconds on the store's clock.

    `since`: when it came to `status`. `until`: open: from then on a probe may be claimed; half open: the probe lapses.
    `times`: openings in a row, 0 when none. `failures`: in a row. `resort_at`: latest try as a last resort.
    `index`, `good`, `bad`: results in the slice of the window under way; `past`: the slices before it, newest last.
    """

    status: Status = Status.CLOSED
    since: float = 0.0
    until: float = 0.0
    times: int = 0
    failures: int = 0
    resort_at: float = -1.0
    index: int = 0
    good: int = 0
    bad: int = 0
    past: tuple[tuple[int, int, int], ...] = ()


class Health(Protocol):
    """Which backends may be tried, and what came of tries. All calls return at once. A reload replaces `settings`."""

    settings: Breaker

    def usable(self, backend: str) -> bool:
        """Say whether the backend may be tried now without being a probe."""

    def probe(self, backend: str) -> bool:
        """Claim the one probe a half-open breaker allows; False when it is open or the probe is taken.

        True also when the breaker has closed meanwhile. Whoever claims reports: succeeded, failed or released.
        """

    def last_resort(self, backend: str) -> bool:
        """Claim the try that even an open breaker allows once a second when every backend of a chain is open."""

    def wait(self, backend: str) -> float:
        """Return the seconds until the backend may be tried by a probe, 0 when it may be tried now."""

    def succeeded(self, backend: str, first_token: float | None) -> None:
        """An attempt ended well; `first_token` in seconds where measured."""

    def failed(self, backend: str, kind: Kind) -> None:
        """An attempt failed with a fault that trips the breaker."""

    def released(self, backend: str) -> None:
        """A probe ended without a verdict: the client left, or the provider answered 429 or a client's mistake."""

    def first_token(self, backend: str) -> float | None:
        """Recent time to first token in seconds, None when never seen."""

    def states(self) -> dict[str, Status]:
        """Return the status of every backend ever tried."""


def step(settings: Breaker, state: State, signal: Signal, now: float, roll: float) -> State:
    """Apply one signal; a pair missing from TRANSITIONS changes nothing and returns the same object."""
    change = TRANSITIONS.get((state.status, signal))
    return change(settings, state, now, roll) if change else state


def wait(settings: Breaker, state: State, now: float) -> float:
    """Return the seconds until somebody may try the backend, 0 when now; a probe under way is soon known.

    >>> wait(Breaker(), State(Status.OPEN, until=12.0), 10.0), wait(Breaker(), State(), 10.0)
    (2.0, 0.0)
    """
    if state.status is Status.CLOSED:
        return 0.0
    left = max(0.0, state.until - now)
    return left if state.status is Status.OPEN else min(left, settings.last_resort)


def news(before: State, after: State) -> Signal | None:
    """Return what other replicas should hear of a step, None when it is nothing to them."""
    if after.status is Status.CLOSED:
        return None if before.status is Status.CLOSED else Signal.HEARD_CLOSED
    opened = after.status is Status.OPEN and (before.status is Status.CLOSED or after.times > before.times)
    return Signal.HEARD_OPEN if opened else None


def recent(before: float | None, latest: float) -> float:
    """Return the moving average of times to first token, seconds.

    >>> recent(None, 2.0), recent(2.0, 1.0)
    (2.0, 1.8)
    """
    return latest if before is None else before + FIRST_TOKEN_WEIGHT * (latest - before)


def credit(settings: Breaker, state: State, successes: int, now: float) -> State:
    """Count successes of a closed breaker, as many signals of SUCCESS would."""
    index = int(now * SLICES / settings.window)
    if index != state.index:
        state = _slide(state, index)
    good = state.good + successes
    return State(
        Status.CLOSED, state.since, state.until, state.times, 0, state.resort_at, index, good, state.bad, state.past
    )


def calm_until(settings: Breaker, state: State) -> float:
    """Return the instant until which a success does nothing but add one to `good`, 0 where it would do more.

    A closed breaker with no failure in a row changes by SUCCESS in nothing else before its slice has ended, so that
    successes may be counted apart meanwhile.
    """
    calm = state.status is Status.CLOSED and not state.failures
    return (state.index + 1) * settings.window / SLICES if calm else 0.0


def _good(settings: Breaker, state: State, now: float, roll: float) -> State:
    return credit(settings, state, 1, now)


def _bad(settings: Breaker, state: State, now: float, roll: float) -> State:
    state = _slide(state, int(now * SLICES / settings.window))
    state = replace(state, bad=state.bad + 1, failures=state.failures + 1)
    return _opened(settings, state, now, roll) if _trips(settings, state) else state


def _slide(state: State, index: int) -> State:
    if index == state.index:
        return state
    slices = (*state.past, (state.index, state.good, state.bad))
    past = tuple(old for old in slices if old[0] > index - SLICES and (old[1] or old[2]))
    return replace(state, index=index, good=0, bad=0, past=past)


def _trips(settings: Breaker, state: State) -> bool:
    good = state.good + sum(old[1] for old in state.past)
    bad = state.bad + sum(old[2] for old in state.past)
    frequent = good + bad >= settings.minimum and bad >= settings.ratio * (good + bad)
    return frequent or state.failures >= settings.consecutive


def _opened(settings: Breaker, state: State, now: float, roll: float) -> State:
    # Closed for longer than it was open before: that trouble is over, this is a new one.
    over = state.status is Status.CLOSED and now - state.since > settings.open * state.times
    times = 1 if over else state.times + 1
    wait = min(settings.open * times * (1 - settings.jitter + 2 * settings.jitter * roll), settings.max_open)
    return State(Status.OPEN, since=now, until=now + wait, times=times)


def _closed(settings: Breaker, state: State, now: float, roll: float) -> State:
    return State(Status.CLOSED, since=now, times=state.times)


def _claimed(settings: Breaker, state: State, now: float, roll: float) -> State:
    if now < state.until:
        return state
    return replace(state, status=Status.HALF_OPEN, since=now, until=now + settings.probe)


def _released(settings: Breaker, state: State, now: float, roll: float) -> State:
    return replace(state, status=Status.OPEN, since=now, until=now)


def _resorted(settings: Breaker, state: State, now: float, roll: float) -> State:
    if now - max(state.resort_at, state.since) < settings.last_resort:
        return state
    return replace(state, resort_at=now)


def _revived(settings: Breaker, state: State, now: float, roll: float) -> State:
    tried = state.resort_at >= state.since
    return _closed(settings, state, now, roll) if tried else state


def _believed(settings: Breaker, state: State, now: float, roll: float) -> State:
    slid = _slide(state, int(now * SLICES / settings.window))
    good = slid.good + sum(old[1] for old in slid.past)
    bad = slid.bad + sum(old[2] for old in slid.past)
    return state if good > bad else _followed(settings, state, now, roll)


def _followed(settings: Breaker, state: State, now: float, roll: float) -> State:
    opened = _opened(settings, state, now, 1.0)
    return replace(opened, until=min(opened.until + FOLLOW, now + settings.max_open))


Change = Callable[[Breaker, State, float, float], State]

TRANSITIONS: dict[tuple[Status, Signal], Change] = {
    (Status.CLOSED, Signal.SUCCESS): _good,
    (Status.CLOSED, Signal.FAILURE): _bad,
    (Status.OPEN, Signal.PROBE): _claimed,
    (Status.OPEN, Signal.LAST_RESORT): _resorted,
    (Status.OPEN, Signal.SUCCESS): _revived,
    (Status.CLOSED, Signal.HEARD_OPEN): _believed,
    (Status.OPEN, Signal.HEARD_OPEN): _followed,
    (Status.OPEN, Signal.HEARD_CLOSED): _closed,
    (Status.HALF_OPEN, Signal.HEARD_CLOSED): _closed,
    (Status.HALF_OPEN, Signal.PROBE): _claimed,
    (Status.HALF_OPEN, Signal.LAST_RESORT): _resorted,
    (Status.HALF_OPEN, Signal.SUCCESS): _closed,
    (Status.HALF_OPEN, Signal.FAILURE): _opened,
    (Status.HALF_OPEN, Signal.RELEASE): _released,
}
