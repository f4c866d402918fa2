"""What the admin listener says and does about rollouts: plain data for JSON, signals with whose key gave them.

One per host, beside the controller. `/admin/rollouts` is read from what this host knows; a signal goes to the store that
all hosts share, so any of them will do.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from twospeed.control.people import PEOPLES
from twospeed.control.rollouts import Rollouts
from twospeed.policy import drilling
from twospeed.policy.audit import Entry, Line
from twospeed.policy.held import Denied, Held, begun, settled
from twospeed.policy.rollout import Phase, Rollout, Signal
from twospeed.stores.ledger import Scribe
from twospeed.telemetry.instruments import DRILL_AGE, LEDGER_UP
from twospeed.telemetry.metrics import Reading

ACTIONS = {signal.value: signal for signal in PEOPLES}
LONGEST_REASON = 500  # characters
MOST_LINES = 1_000  # of one history
SKIPS = (Signal.PROMOTE,)  # the judge is passed over: somebody says why


class Delivery:
    """Rollouts of a host, for its admin listener. `drilled_at`: when a rollback drill passed last, as far as was looked."""

    def __init__(self, rollouts: Rollouts, ledger: Scribe, wall: Callable[[], float] = time.time) -> None:
        self.rollouts = rollouts
        self.ledger = ledger
        self.drilled_at = 0.0
        self._wall = wall
        rollouts.people.preflight = self.preflight

    async def listed(self) -> dict[str, Any]:
        """Say how every rollout stands."""
        return {
            "rollouts": [self._shown(held) for held in self.rollouts.held.values()],
            "leading": self.rollouts.leading,
            "store": self.rollouts.away or "ok",
            "ledger": self.ledger.trouble or "ok",
            "drill": await self.drill(),
        }

    def readings(self) -> Iterator[Reading]:
        """Say how old the last good drill is, as far as was looked, and whether the ledger can be written."""
        yield Reading(LEDGER_UP, (), int(not self.ledger.trouble))
        age = max(0.0, self._wall() - self.drilled_at) if self.drilled_at else math.inf
        yield Reading(DRILL_AGE, (), age)

    async def summary(self) -> dict[str, Any]:
        """Say in short how rollouts, ledger and drills are, for a status of everything."""
        return {
            "rollouts": {name: held.state.phase.value for name, held in self.rollouts.held.items()},
            "ledger": {"path": str(self.ledger.path), "ok": not self.ledger.trouble, "dropped": self.ledger.dropped},
            "drill": await self.drill(),
        }

    async def one(self, name: str) -> tuple[dict[str, Any], int]:
        """Say how one stands, and at which version. Raises: Denied, unknown."""
        held = self.rollouts.held.get(name)
        if held is None:
            known = ", ".join(self.rollouts.held) or "none"
            raise Denied("unknown", f"there is no rollout '{name}' here; there are: {known}")
        return {**self._shown(held), "drill": await self.drill()}, held.version

    async def act(
        self, name: str, action: str, actor: str, reason: str, expect: int | None
    ) -> tuple[dict[str, Any], int]:
        """Give a signal; returns as `one` does. Raises: Denied."""
        signal = ACTIONS[action]
        if name not in self.rollouts.held:
            await self.one(name)
        if signal in SKIPS and not reason:
            raise Denied("impossible", f"'{action}' passes over the judge: say why, in `reason`")
        held = await self.rollouts.people.act(name, signal, actor, tidy(reason) or f"{action} by hand", expect)
        return self._shown(held), held.version

    async def history(self, name: str) -> dict[str, Any]:
        """Return what the ledger of this host has of one rollout, oldest first, with the evidence."""
        lines = await self.ledger.lines(kind="rollout", subject=name, limit=MOST_LINES)
        if not lines:
            await self.one(name)
        wanted = {line.entry.evidence for line in lines} - {""}
        bodies = {digest: await self.ledger.evidence(digest) for digest in wanted}
        figures = {digest: msgspec.json.decode(body) for digest, body in bodies.items() if body}
        return {
            "rollout": name,
            "events": [{**told(line), "figures": figures.get(line.entry.evidence)} for line in lines],
        }

    async def begin(self, asked: Mapping[str, Any], actor: str) -> tuple[dict[str, Any], int]:
        """Begin a rollback drill; returns as `one` does, with the header that makes a request part of it.

        Args:
            asked: alias, stable, candidate, share, everybody, by (abort or regression), reason; all may be left out.

        Raises: Denied.
        """
        try:
            rollout = drilling.rollout(asked, [settled(held) for held in self.rollouts.held.values()])
        except ValueError as error:
            raise Denied("malformed", str(error)) from None
        self._undisturbed(rollout, asked.get("by") == "regression")
        reason = tidy(str(asked.get("reason", ""))) or "rollback drill"
        held = await self.rollouts.people.drill(rollout, actor, reason)
        headers = {} if asked.get("everybody") is True else {drilling.HEADER: drilling.MARK}
        return {**self._shown(held), "headers": headers}, held.version

    def _undisturbed(self, drill: Rollout, fails: bool) -> None:
        """See that no rollout under way is judged by the faults of a drill. Raises: Denied."""
        for name, held in self.rollouts.held.items():
            if fails and name != drill.id and begun(held) and settled(held).target.candidate == drill.target.candidate:
                why = f"'{name}' is under way with {drill.target.candidate}: faults ordered from it would open its breaker"
                raise Denied("impossible", f"{why} and count against it; end it first, or drill by abort")

    async def ended(self, outcome: str, reason: str, actor: str, figures: Mapping[str, Any]) -> dict[str, Any]:
        """Enter what came of a drill, passed or failed."""
        entry = Entry(self._wall(), "drill", "rollback", outcome, after=outcome, actor=actor, reason=tidy(reason))
        self.ledger.enter(entry, figures or None)
        await self.ledger.written()
        return {"drill": await self.drill()}

    async def drill(self) -> dict[str, Any] | None:
        """Say what came of the last rollback drill, None when there was none. `age`: in seconds."""
        line = await self.ledger.latest("drill")
        if line is None:
            return None
        entry = line.entry
        self.drilled_at = entry.at if entry.after == drilling.PASSED else 0.0
        age = round(max(0.0, self._wall() - entry.at), 3)
        return {"at": entry.at, "age": age, "outcome": entry.after, "by": entry.actor, "reason": entry.reason}

    async def preflight(self, rollout: Rollout) -> str:
        """Say why the gates other than the shadow are closed, "" when they are open."""
        return drilling.closed(rollout.gates, await self.drill())

    def _shown(self, held: Held) -> dict[str, Any]:
        return {**shown(held), "progress": msgspec.to_builtins(self.rollouts.progress(held.state.id))}


def shown(held: Held) -> dict[str, Any]:
    """Return a rollout as plain data. `step` is a place in `steps`, -1 before the first; times are seconds since the epoch."""
    state, settings = held.state, settled(held)
    return {
        "id": state.id,
        "phase": state.phase.value,
        "step": state.step,
        "steps": list(state.steps),
        "share": state.share,
        "attempt": state.attempt,
        "refused": state.refused,
        "version": held.version,
        "at": held.at,
        "since": held.since,
        "actor": held.actor,
        "reason": held.reason,
        "evidence": held.evidence,
        "target": settings.target.model_dump(),
        "exit_code": exit_code(held),
    }


def exit_code(held: Held) -> int | None:
    """Return what `--watch` ends with, None while it goes on: 0 promoted, 3 rolled back, 4 a gate refused, 5 inconclusive.

    A pause and a hold may end by themselves, so that they end no watch.
    """
    phase = held.state.phase
    if phase is Phase.DRAFT:
        return 4 if held.state.refused else None
    return {Phase.PROMOTED: 0, Phase.ROLLED_BACK: 3, Phase.INCONCLUSIVE: 5}.get(phase)


def told(line: Line) -> dict[str, Any]:
    """Return a line of the ledger as plain data."""
    entry = msgspec.to_builtins(line.entry)
    del entry["key"]
    return {"number": line.number, **entry, "hash": line.hash}


def tidy(reason: str) -> str:
    """Return a reason on one line, without what steers terminals.

    >>> tidy("  too slow\\nsince nine ")
    'too slow since nine'
    """
    return " ".join("".join(sign if sign.isprintable() else " " for sign in reason).split())[:LONGEST_REASON]
