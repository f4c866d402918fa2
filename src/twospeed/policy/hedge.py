"""Hedge: a second backend is asked while the first one stays silent, and whoever speaks first serves (R7).

`HedgedRace` is the race with up to two attempts at once. Each attempt under way is a leg, with a phase and a deadline of
its own; a leg is put in the place of the one attempt of the plain race, so that each rule is written once. Once a request
there is at most one hedge; when one of two legs fails the other goes on alone, and when that fails too the race goes on
as it would have without a hedge. The loser is cancelled in the same step in which the other one wins.

    first leg  Admit -> Open -> Begin ------------------------------> Committed: Cancel the other, Win
    hedge               `delay` after Open: Admit -> Open -> Begin -> Committed: Cancel the other, Win

Source: Dean and Barroso, "The Tail at Scale" (2013): hedged requests, deferred until the 95th percentile.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Literal

import msgspec
from pydantic import Field

from twospeed.errors import Fault, Kind
from twospeed.policy.race import (
    Admit,
    Admitted,
    Begin,
    Cancel,
    Command,
    Event,
    Failed,
    Lose,
    Open,
    Pause,
    Race,
    Refused,
    Tick,
    Win,
)
from twospeed.types import Hedging, Plan, Settings
from twospeed.units import Fraction, PositiveDuration

_LAST = frozenset({Win, Lose})
_PAUSED = -1  # the number of what is no attempt but a wait
SAVED = 10.0  # hedges that may be saved up at most


class Hedge(Settings):
    """`tiers.<tier>.hedge`: ask a second backend where the first one is slow. Streams only, and never what leaves state."""

    after: Literal["p95"] | PositiveDuration = "p95"
    """How long the first one may stay silent: p95, the live 95th percentile of its own time to first token, or a
    duration. Until 20 answers of a backend have been seen, p95 hedges nothing."""
    extra: Annotated[Fraction, Field(gt=0)] = 0.05
    """Requests that a hedge may add, as a share of those that might be hedged."""
    busy: Annotated[Fraction, Field(gt=0)] = 0.8
    """Use of the tier's caps, or of the second backend's limits, from which on nothing is hedged."""

    def hedging(self) -> Hedging:
        """Return it as plans carry it."""
        return Hedging(None if self.after == "p95" else self.after, self.extra, self.busy)


class Purse:
    """What hedges may still cost: each request that might be hedged pays its share in, each hedge takes one out."""

    __slots__ = ("_saved", "_share")

    def __init__(self, share: float) -> None:
        self._share = share
        self._saved = 0.0

    def asked(self) -> None:
        """Count a request that might be hedged."""
        self._saved = min(SAVED, self._saved + self._share)

    def spend(self) -> bool:
        """Take a hedge out; False when there is none."""
        if self._saved < 1.0 - 1e-9:  # twenty times 5% is a hair less than one
            return False
        self._saved = max(0.0, self._saved - 1.0)
        return True


class _Leg(msgspec.Struct):
    """One attempt under way. `phase` None: the limits are being asked."""

    candidate: int
    deadline: float
    phase: type[Open | Begin | Pause] | None = None
    hedge: bool = False


class HedgedRace(Race):
    """One request's race with at most one hedge.

    Args:
        roll: Chance in [0, 1).
        delay: How long a backend may be silent before a second one is asked, in seconds, by its name; None for ever.

    Events of attempts that are over are passed over. Commands come in order; unlike in the plain race several of them may
    want an answer.
    """

    def __init__(self, plan: Plan, roll: float, delay: Callable[[str], float | None]) -> None:
        super().__init__(plan, roll)
        self._delay = delay
        self._legs: dict[int, _Leg] = {}
        self._numbered = 0
        self._hedge_at: float | None = None
        self._hedged = False
        self._over = False

    def start(self, now: float) -> Command:
        """Return the first command."""
        command = super().start(now)
        self._over = isinstance(command, Lose)
        return command

    def on(self, event: Event, now: float) -> Sequence[Command]:
        """Take what happened and say what to do, in order."""
        if self._over:
            return ()
        commands = self._ticked(now) if isinstance(event, Tick) else self._heard(event.attempt, event, now)
        self._over = bool(commands) and type(commands[-1]) in _LAST
        self.deadline = self._next_deadline()
        return commands

    def _heard(self, number: int, event: Event, now: float) -> Sequence[Command]:
        leg = self._legs.get(number)
        if leg is None:
            return ()
        if isinstance(event, Refused):
            return self._passed_over(number, leg, event, now)
        if isinstance(event, Failed):
            return self._fell(number, event, now)
        self._focus(number, leg)
        commands = super().on(event, now)
        leg.phase, leg.deadline = self._phase, self.deadline
        if isinstance(event, Admitted):
            self._arm(leg, now)
            return commands
        if type(commands[-1]) in _LAST:
            return [*self._cancel_others(number), *commands]
        return commands

    def _passed_over(self, number: int, leg: _Leg, event: Refused, now: float) -> Sequence[Command]:
        """A refused hedge may be asked again when its turn comes: what was refused is the hedge, as a rule."""
        del self._legs[number]
        if leg.hedge:
            self._next = leg.candidate
            return () if self._legs else self._went_on(self._advance(now))
        if self._legs:
            return ()
        self._focus(number, leg)
        return self._went_on(super().on(event, now))

    def _fell(self, number: int, event: Failed, now: float) -> Sequence[Command]:
        leg = self._legs.pop(number)
        self._hedge_at = None
        self._focus(number, leg)
        commands = self._failed(event, now) if not self._legs else self._absorbed(event)
        if commands and type(commands[-1]) is Lose:
            return [*self._cancel_others(number), *commands]
        return self._went_on(commands)

    def _absorbed(self, event: Failed) -> Sequence[Command]:
        """One of two has failed: the other goes on, unless the fault is one that it would only repeat."""
        fault = event.fault
        self._last, self._failed_at = fault, self._candidate
        return () if fault.meaning.fallback else (Lose(fault),)

    def _ticked(self, now: float) -> Sequence[Command]:
        if now >= self._plan.deadline:
            cancels = [Cancel(number, Kind.TOTAL_TIMEOUT) for number in self._legs if number != _PAUSED]
            self._legs.clear()
            return [*cancels, Lose(Fault(Kind.TOTAL_TIMEOUT))]
        said: list[Command] = []
        for number, leg in [*self._legs.items()]:
            if now >= leg.deadline and not self._lost(said):
                said += self._expire(number, leg, now)
        if self._hedge_at is not None and now >= self._hedge_at and not self._lost(said):
            said += self._hedge()
        return said

    def _lost(self, said: Sequence[Command]) -> bool:
        return bool(said) and type(said[-1]) is Lose

    def _expire(self, number: int, leg: _Leg, now: float) -> Sequence[Command]:
        if leg.phase is Pause:
            del self._legs[number]
            return self._went_on(self._admit(leg.candidate))
        self._focus(number, leg)
        kind = self._expired(now)
        return [Cancel(number, kind), *self._fell(number, Failed(number, Fault(kind)), now)]

    def _arm(self, leg: _Leg, now: float) -> None:
        """Set the instant of the hedge, once the first attempt has been let through."""
        if self._hedged or leg.hedge:
            return
        backend = self._plan.candidates[leg.candidate].backend.name
        delay = self._delay(backend)
        self._hedge_at = None if delay is None else now + delay

    def _hedge(self) -> Sequence[Command]:
        self._hedge_at, self._hedged = None, True
        candidates = self._plan.candidates
        if self._made >= self._plan.most or self._next >= len(candidates) or candidates[self._next].probe:
            return ()
        self._next += 1
        (admit,) = self._admit(self._next - 1)
        assert isinstance(admit, Admit)
        self._legs[admit.attempt].hedge = True
        return [Admit(admit.attempt, admit.candidate, hedge=True)]

    def _admit(self, candidate: int) -> Sequence[Command]:
        self._attempt = self._numbered - 1  # numbers go on from the last one given, whichever leg is looked at
        commands = super()._admit(candidate)
        self._numbered = self._attempt + 1
        self._legs[self._attempt] = _Leg(candidate, self._plan.deadline)
        return commands

    def _went_on(self, commands: Sequence[Command]) -> Sequence[Command]:
        """Keep a pause as a leg, so that its end is heard of."""
        if commands and type(commands[-1]) is Pause:
            self._legs[_PAUSED] = _Leg(self._candidate, self.deadline, Pause)
        return commands

    def _focus(self, number: int, leg: _Leg) -> None:
        self._attempt, self._candidate, self._phase = number, leg.candidate, leg.phase
        self.deadline = leg.deadline

    def _cancel_others(self, number: int) -> list[Command]:
        others: list[Command] = [Cancel(other, Kind.HEDGE_LOST) for other in self._legs if other != number]
        self._legs.clear()
        return others

    def _next_deadline(self) -> float:
        ends = [self._plan.deadline, *(leg.deadline for leg in self._legs.values())]
        return min(ends if self._hedge_at is None else [*ends, self._hedge_at])
