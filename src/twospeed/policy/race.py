"""The race for one answer: fallback, retry and every deadline before the commit point, as a machine without I/O.

Feed it what happened (`on(event, now)`), do what it says (the commands it returns), in order. It owns all deadlines:
`deadline` is the next instant at which it wants to hear a Tick. Attempts are numbered from 0 over the whole race; a
candidate is one row of the plan. Driven by `upstream/attempt.py`. Rules: R1-R4, R6 of docs/semantics.md.

Of an attempt that goes well nothing is to be decided but its deadlines: who makes one attempt at a time may say `admitted`
and `connected` and be told those, instead of the two events. Committed is then the end, since no other attempt can win.

    Admit -> Admitted -> Open -> Connected -> Begin -> Committed -> Win
       \\-> Refused        \\-> Failed / Tick    \\-> Failed / Tick -> next candidate, or Lose
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from twospeed.errors import RETRY_SAME, Fault, Kind
from twospeed.policy.overload import WAITING_SHARE
from twospeed.types import Candidate, Plan

MAX_ATTEMPTS = 3  # R4
LEAST_USEFUL = 0.05  # seconds: an attempt with less time left cannot win
BACKOFF_BASE, BACKOFF_CAP = 0.025, 0.25  # seconds, full jitter (R4)
SHORT_WAIT = 1.0  # seconds: the longest Retry-After that is waited for on the same provider (R4)


# What holds a fault is left to the collector: its traceback leads back to whoever holds it.


class Admit(msgspec.Struct, frozen=True):
    """Command: ask the limits of this candidate; answer Admitted or Refused."""

    attempt: int
    candidate: Candidate
    hedge: bool = False  # beside one that is still silent


class Open(msgspec.Struct, frozen=True, gc=False):
    """Command: connect; answer Connected, Failed or Tick."""

    attempt: int


class Begin(msgspec.Struct, frozen=True, gc=False):
    """Command: send the request and read up to the commit point; answer Committed, Failed or Tick."""

    attempt: int


class Cancel(msgspec.Struct, frozen=True, gc=False):
    """Command: close this attempt at once, its connection with it, and settle it."""

    attempt: int
    kind: Kind


class Pause(msgspec.Struct, frozen=True, gc=False):
    """Command: wait until `deadline`, then answer Tick."""


class Win(msgspec.Struct, frozen=True, gc=False):
    """Command: this attempt's answer goes to the client; the race is over."""

    attempt: int


class Lose(msgspec.Struct, frozen=True):
    """Command: tell the client this fault; the race is over."""

    fault: Fault


class Admitted(msgspec.Struct, frozen=True, gc=False):
    """Event: the limits let the attempt pass."""

    attempt: int


class Refused(msgspec.Struct, frozen=True):
    """Event: limits or breaker said no; nothing was sent."""

    attempt: int
    fault: Fault


class Connected(msgspec.Struct, frozen=True, gc=False):
    """Event: a connection is there, nothing has been written yet."""

    attempt: int


class Committed(msgspec.Struct, frozen=True, gc=False):
    """Event: first content, or the whole unstreamed answer, has been read (R1)."""

    attempt: int


class Failed(msgspec.Struct, frozen=True):
    """Event: the attempt ended in a fault before the commit point. `sent`: body bytes had been written."""

    attempt: int
    fault: Fault
    sent: bool = True


class Tick(msgspec.Struct, frozen=True, gc=False):
    """Event: `deadline` has passed."""


TICK = Tick()
Command = Admit | Open | Begin | Cancel | Pause | Win | Lose
Event = Admitted | Refused | Connected | Committed | Failed | Tick


class Race:
    """One request's race. `roll` in [0, 1) spreads the one backoff it may take."""

    _next = 0  # candidate to try next
    _attempt = -1
    _candidate = 0  # of the current attempt
    _made = 0  # attempts that reached a provider
    _phase: type[Open | Begin | Pause] | None = None
    _retried: frozenset[str] = frozenset()  # providers that had their one retry
    _failed_at = 0  # candidate of the last failure
    _last: Fault | None = None  # what the client hears when everything failed
    _refusal: Fault | None = None  # the refusal that ends first
    _refused_at = 0  # candidate of that refusal
    _waited = False  # for a limit, once

    def __init__(self, plan: Plan, roll: float) -> None:
        self.deadline = plan.deadline
        self._plan = plan
        self._roll = roll

    def start(self, now: float) -> Command:
        """Return the first command."""
        return self._advance(now)[0]

    def on(self, event: Event, now: float) -> Sequence[Command]:
        """Take what happened and say what to do, in order; the last command is the one to answer."""
        return _HEARD[type(event)](self, event, now)

    def admitted(self, now: float) -> float:
        """Take Admitted, whose answer is always Open, and return the deadline for that."""
        plan = self._plan
        self._made += 1
        self._phase = Open
        self.deadline = deadline = min(now + plan.candidates[self._candidate].timeouts.connect, plan.deadline)
        return deadline

    def connected(self, now: float) -> float:
        """Take Connected, whose answer is always Begin, and return the deadline for that."""
        plan = self._plan
        timeouts = plan.candidates[self._candidate].timeouts
        self._phase = Begin
        patience = timeouts.first_token if plan.stream else timeouts.total
        self.deadline = deadline = min(now + patience, plan.deadline)
        return deadline

    def _admitted(self, event: Admitted, now: float) -> Sequence[Command]:
        self.admitted(now)
        return (Open(self._attempt),)

    def _connected(self, event: Connected, now: float) -> Sequence[Command]:
        self.connected(now)
        return (Begin(self._attempt),)

    def _committed(self, event: Committed, now: float) -> Sequence[Command]:
        return (Win(self._attempt),)

    def _refused(self, event: Refused, now: float) -> Sequence[Command]:
        fault = event.fault
        if self._refusal is None or (fault.retry_after or 0.0) < (self._refusal.retry_after or 0.0):
            self._refusal, self._refused_at = fault, self._candidate
        return self._advance(now)

    def _failed(self, event: Failed, now: float) -> Sequence[Command]:
        fault, sent = event.fault, event.sent
        self._last, self._failed_at = fault, self._candidate
        # A version on trial may be at fault where another would not: that one is asked before the client hears of it.
        trial = self._plan.candidates[self._candidate].offer is not None
        if not (fault.meaning.fallback or trial) or (sent and not self._plan.replayable):
            return (Lose(fault),)
        return self._advance(now)

    def _tick(self, event: Tick, now: float) -> Sequence[Command]:
        if now < self.deadline:
            return ()
        if self._phase is Pause:
            return self._admit(self._candidate)
        kind = self._expired(now)
        cancel = Cancel(self._attempt, kind)
        return [cancel, *self._failed(Failed(self._attempt, Fault(kind), self._phase is Begin), now)]

    def _expired(self, now: float) -> Kind:
        if now >= self._plan.deadline:
            return Kind.TOTAL_TIMEOUT
        return Kind.CONNECT_TIMEOUT if self._phase is Open else Kind.FIRST_TOKEN_TIMEOUT

    def _advance(self, now: float) -> Sequence[Command]:
        """Go to the next candidate, else retry the last one, else give up."""
        plan, candidate = self._plan, self._next
        if self._made and plan.deadline - now < LEAST_USEFUL:
            return [Lose(self._last or Fault(Kind.TOTAL_TIMEOUT))]
        if self._made < plan.most:
            if candidate < len(plan.candidates):
                self._next = candidate + 1
                return self._admit(candidate)
            if self._may_retry_same():
                return self._retry_same(now)
            if plan.limit_wait and self._may_wait(now):
                return self._wait(now)
        return [Lose(self._verdict())]

    def _admit(self, candidate: int) -> Sequence[Command]:
        self._attempt += 1
        self._candidate = candidate
        return (Admit(self._attempt, self._plan.candidates[candidate]),)

    def _may_retry_same(self) -> bool:
        fault = self._last
        if fault is None or self._provider() in self._retried:
            return False
        if fault.kind is Kind.PROVIDER_RATE_LIMITED or fault.status == 503:
            return fault.retry_after is not None and fault.retry_after <= SHORT_WAIT
        return fault.kind in RETRY_SAME

    def _retry_same(self, now: float) -> Sequence[Command]:
        self._retried |= {self._provider()}
        self._candidate = self._failed_at
        fault = self._last
        wait = (fault.retry_after if fault else None) or self._roll * min(BACKOFF_CAP, BACKOFF_BASE * 2**self._made)
        return self._pause(now + wait)

    def _may_wait(self, now: float) -> bool:
        """Say whether the limit that ends first does so soon enough, for the tier and for the time that is left."""
        refusal = self._refusal
        if self._waited or refusal is None or refusal.kind is not Kind.RATE_LIMITED or refusal.retry_after is None:
            return False
        return refusal.retry_after <= min(self._plan.limit_wait, (self._plan.deadline - now) * WAITING_SHARE)

    def _wait(self, now: float) -> Sequence[Command]:
        assert self._refusal is not None
        wait, self._waited, self._candidate = self._refusal.retry_after or 0.0, True, self._refused_at
        self._refusal = None  # what is true then is asked for anew
        return self._pause(now + wait)

    def _pause(self, until: float) -> Sequence[Command]:
        self._phase = Pause
        self.deadline = min(until, self._plan.deadline)
        return (Pause(),)

    def _provider(self) -> str:
        return self._plan.candidates[self._failed_at].backend.provider

    def _verdict(self) -> Fault:
        """The last real failure; where nothing was tried, the refusal that ends first."""
        return self._last or self._refusal or Fault(Kind.NO_BACKEND)


_HEARD: dict[type, Callable[[Race, Any, float], Sequence[Command]]] = {
    Admitted: Race._admitted,
    Refused: Race._refused,
    Connected: Race._connected,
    Committed: Race._committed,
    Failed: Race._failed,
    Tick: Race._tick,
}
