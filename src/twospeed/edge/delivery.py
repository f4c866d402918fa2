"""What the admin listener says and does about rollouts: plain data for JSON, signals with whose key gave them.

One per host, beside the controller. `/admin/rollouts` is read from what this host knows; a signal goes to the store that
all hosts share, so any of them will do.
"""

from typing import Any

import msgspec

from twospeed.control.rollouts import PEOPLES, Rollouts
from twospeed.policy.audit import Line
from twospeed.policy.held import Denied, Held, settled
from twospeed.policy.rollout import Phase, Signal
from twospeed.stores.ledger import Scribe

ACTIONS = {signal.value: signal for signal in PEOPLES}
LONGEST_REASON = 500  # characters
MOST_LINES = 1_000  # of one history
SKIPS = (Signal.PROMOTE,)  # the judge is passed over: somebody says why


class Delivery:
    """Rollouts of a host, for its admin listener."""

    def __init__(self, rollouts: Rollouts, ledger: Scribe) -> None:
        self.rollouts = rollouts
        self.ledger = ledger

    async def listed(self) -> dict[str, Any]:
        """Say how every rollout stands."""
        return {
            "rollouts": [self._shown(held) for held in self.rollouts.held.values()],
            "leading": self.rollouts.leading,
            "store": self.rollouts.away or "ok",
            "ledger": self.ledger.trouble or "ok",
            "drill": await self.drill(),
        }

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
        held = await self.rollouts.act(name, signal, actor, tidy(reason) or f"{action} by hand", expect)
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

    async def drill(self) -> dict[str, Any] | None:
        """Say what came of the last rollback drill, None when there was none."""
        line = await self.ledger.latest("drill")
        if line is None:
            return None
        return {"at": line.entry.at, "outcome": line.entry.after, "by": line.entry.actor, "reason": line.entry.reason}

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
