"""How a move is told: as a line of the ledger, the same on every host, and as a line of the log."""

import logging
from typing import Any

import msgspec

from twospeed.policy.audit import Entry
from twospeed.policy.held import Move
from twospeed.policy.rollout import FLAGS

log = logging.getLogger("twospeed.rollouts")


def tell(move: Move) -> None:
    """Write a move to the log."""
    if move.rollout == FLAGS:
        log.warning("flag %s: %s (%s: %s)", move.evidence.get("flag"), move.signal, move.actor, move.reason)
        return
    state = move.held.state
    log.warning(
        "rollout %s: %s -> %s at %.4g%% (%s: %s)",
        *(move.rollout, move.before, state.phase, state.share * 100, move.actor, move.reason),
    )


def entry(move: Move) -> Entry:
    """Write a move as a line of the ledger, the same on every host."""
    held = move.held
    state = held.state
    if move.rollout == FLAGS:
        before, after = (_text(move.evidence[name]) for name in ("before", "after"))
        key = f"{FLAGS}:{held.version}:{move.at:.6f}"
        said = (move.at, "flag", move.evidence["flag"], move.signal, before, after)
        return Entry(*said, actor=move.actor, reason=move.reason, key=key)
    return Entry(
        at=move.at,
        kind="rollout",
        subject=move.rollout,
        event=move.signal,
        before=move.before.value,
        after=state.phase.value,
        step=state.step,
        share=state.share,
        attempt=state.attempt,
        actor=move.actor,
        reason=move.reason,
        key=f"{move.rollout}:{held.version}:{move.at:.6f}",  # versions begin anew when the store was emptied
    )


def _text(flag: dict[str, Any] | None) -> str:
    return msgspec.json.encode(flag).decode() if flag else ""
