"""How a rollout is shown in a terminal: a line, a few lines, or one line of its history."""

import time
from typing import Any

from twospeed.policy.drilling import PASSED, REMEDY, aged
from twospeed.units import written_share

OLD_DRILL = 90 * 86_400.0  # seconds after which a drill is called old


def line(rollout: dict[str, Any]) -> str:
    """Say on one line how a rollout stands.

    >>> line({"id": "r", "phase": "baking", "step": 0, "steps": [0.05, 1.0], "share": 0.05, "reason": "", "progress": None})
    'r: baking, 5% of sessions (step 1 of 2)'
    """
    place = f" (step {rollout['step'] + 1} of {len(rollout['steps'])})" if rollout["step"] >= 0 else ""
    text = f"{rollout['id']}: {rollout['phase']}, {written_share(rollout['share'])} of sessions{place}"
    progress = rollout.get("progress")
    if rollout["phase"] in ("shadow", "baking", "hold", "paused", "inconclusive") and progress:
        stable, candidate = progress["calls"]
        seen = f"; {stable} stable and {candidate} candidate requests" if stable or candidate else ""
        return f"{text}{seen}; {progress['reason']}"
    return f"{text}; {rollout['reason']}" if rollout["reason"] else text


def standing(rollout: dict[str, Any]) -> str:
    """Say on a few lines how a rollout stands."""
    target, progress = rollout["target"], rollout.get("progress")
    rows = [
        line(rollout),
        f"  {target['candidate']} for {target['alias']}, now {target['stable']}; attempt {rollout['attempt']}",
        f"  latest: {_when(rollout['at'], True)} by {rollout['actor'] or 'nobody'}: {rollout['reason']}",
        f"  version {rollout['version']}, evidence {rollout['evidence'][:12] or 'none'}",
    ]
    if progress:
        sessions = progress["sessions"]
        rows.append(f"  the judge: {progress['outcome']}; {sessions[0]} stable and {sessions[1]} candidate sessions")
        rows += [f"    {_reading(reading)}" for reading in progress["readings"]]
    return "\n".join([*rows, f"  {drilled(rollout.get('drill'), time.time())}"])


def happened(event: dict[str, Any], date: bool = False) -> str:
    """Say on one line what happened."""
    share = f" at {written_share(event['share'])}" if event["share"] else ""
    moved = f"{event['before']} -> {event['after']}" if event["before"] != event["after"] else event["after"]
    return f"{_when(event['at'], date)} {event['event']}: {moved}{share} by {event['actor']}: {event['reason']}"


def drilled(drill: dict[str, Any] | None, now: float) -> str:
    """Say how old the last rollback drill is.

    >>> drilled({"at": 0.0, "outcome": "passed"}, 7200.0), drilled(None, 0.0)
    ('last rollback drill: passed, 2h ago', 'last rollback drill: never; run twospeed drill rollback')
    """
    if drill is None:
        return f"last rollback drill: never{REMEDY}"
    age = max(0.0, now - drill["at"])
    old = REMEDY if age > OLD_DRILL or drill["outcome"] != PASSED else ""
    return f"last rollback drill: {drill['outcome']}, {aged(age)} ago{old}"


def _reading(reading: dict[str, Any]) -> str:
    return ", ".join(f"{name} {_figure(value)}" for name, value in reading.items() if value not in (None, "", [], {}))


def _figure(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _when(at: float, date: bool) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S" if date else "%H:%M:%S", time.localtime(at))
