"""Rollback drills: the rollout one is held with, and what is made of what was seen.

A drill sends a version to some sessions and takes it back, as an emergency would, and looks how long anybody still met it.
Unless everybody is to take part, only requests that carry the mark do: the drill's own.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from pydantic import ValidationError

from twospeed.policy.rollout import DRILL, Gate, Rollout
from twospeed.policy.scope import REPO_HEADER
from twospeed.units import written_duration, written_share

MARK = "twospeed-drill"  # the repository that requests of a drill name
HEADER = REPO_HEADER.decode()
PASSED, FAILED = "passed", "failed"
WITHIN = 1.0  # seconds after the decision in which somebody may still meet the candidate
SHARE = 0.5  # of sessions, where only the drill's own take part
EVERYBODYS_SHARE = 0.05
FORGIVEN, FOUND = "90pp", "5pp"  # more errors than the stable version: where it is ended by hand, and by the judge
REMEDY = "; run twospeed drill rollback"


class Seen(msgspec.Struct, frozen=True):
    """One request of a drill, as its sender saw it. Instants in seconds on one clock. `arm`: "" for uncounted."""

    started_at: float
    ended_at: float
    server: str
    arm: str
    ok: bool


class Finding(msgspec.Struct, frozen=True):
    """What came of a drill. `seconds`: from the decision to the start of the last request that met the candidate, 0 when none
    did. `late`: requests that met it beyond what is allowed. `broken`: requests that failed, of all `requests`."""

    passed: bool
    reason: str
    seconds: float
    requests: int
    met: int
    after: int
    late: int
    broken: int


def rollout(asked: Mapping[str, Any], known: Sequence[Rollout]) -> Rollout:
    """Return the rollout of a drill; what is not asked for is that of the first rollout known.

    Args:
        asked: alias, stable, candidate, share (0..1), everybody, by ("abort" or "regression").

    Raises: ValueError, in words.
    """
    usual = known[0].target.model_dump() if known else {}
    target = {name: asked.get(name) or usual.get(name) for name in ("alias", "stable", "candidate")}
    missing = [name for name, value in target.items() if not value]
    if missing:
        raise ValueError(f"the config file has no rollout to take {', '.join(missing)} from: name what to drill with")
    everybody = asked.get("everybody") is True
    share = asked.get("share") or (EVERYBODYS_SHARE if everybody else SHARE)
    found = asked.get("by") == "regression"
    said = {
        "id": "a-drill",
        "target": target,
        "scope": {} if everybody else {"repos": [MARK]},
        "steps": [share],
        "guard": [{"metric": "error_rate", "slack": FOUND if found else FORGIVEN}],
    }
    try:
        return Rollout.model_validate(said).model_copy(update={"id": DRILL})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = "share" if first["loc"][:1] == ("steps",) else ".".join(map(str, first["loc"]))
        why = first["msg"].removeprefix("Value error, ")
        raise ValueError(f"{where}: {why}" if where else why) from None


def judged(seen: Sequence[Seen], decided_at: float, servers: Sequence[str]) -> Finding:
    """Say whether a drill passed: everybody met the candidate before, nobody later than allowed, and nothing broke.

    Args:
        decided_at: Instant at which the candidate was taken back.
        servers: Who was asked; each must have served the candidate before, and somebody after.
    """
    met = [one for one in seen if one.arm == "candidate"]
    after = [one for one in seen if one.started_at > decided_at]
    last = max((one.started_at - decided_at for one in met), default=0.0)
    late = [one for one in met if one.started_at - decided_at > WITHIN]
    broken = [one for one in seen if not one.ok]
    silent = [name for name in servers if not any(one.server == name and one.started_at <= decided_at for one in met)]
    mute = [
        name for name in servers if not any(one.server == name and one.started_at > decided_at + WITHIN for one in seen)
    ]
    if silent:
        reason = f"no session met the candidate at {', '.join(silent)}: nothing was shown"
    elif mute:
        reason = f"nobody was asked at {', '.join(mute)} afterwards: nothing was shown"
    elif late:
        reason = (
            f"{len(late)} requests met the candidate later than {written_duration(WITHIN)}, the last after {last:.2f} s"
        )
    elif broken:
        reason = f"{len(broken)} of {len(seen)} requests failed"
    else:
        reason = (
            f"nobody met the candidate {max(0.0, last):.3f} s after the decision, of {len(after)} requests; none failed"
        )
    passed = not (silent or mute or late or broken)
    return Finding(passed, reason, max(0.0, last), len(seen), len(met), len(after), len(late), len(broken))


def closed(gates: Sequence[Gate], last: Mapping[str, Any] | None) -> str:
    """Say why the gate `drill_age` is closed, "" when it is open or there is none.

    Args:
        last: The last drill: `outcome` and `age` in seconds.
    """
    oldest = min((gate.drill_age for gate in gates if gate.drill_age), default=None)
    if oldest is None:
        return ""
    if last is None:
        return f"drill_age: there has been no rollback drill{REMEDY}"
    if last["outcome"] != PASSED:
        return f"drill_age: the last rollback drill {last['outcome']}{REMEDY}"
    if last["age"] > oldest:
        allowed = written_duration(oldest)
        return f"drill_age: the last rollback drill is {aged(last['age'])} old, {allowed} is allowed{REMEDY}"
    return ""


def aged(seconds: float) -> str:
    """Write an age in its largest unit.

    >>> aged(200.0), aged(9 * 86_400.0)
    ('3m', '9d')
    """
    unit = 86_400 if seconds >= 2 * 86_400 else 3_600 if seconds >= 7_200 else 60 if seconds >= 120 else 1
    return written_duration(seconds // unit * unit)


def written(finding: Finding, about: Mapping[str, Any]) -> str:
    """Write the report of a drill for people.

    Args:
        about: alias, stable, candidate, by, share, servers, began (text), took (seconds).
    """
    rows = (
        ("outcome", PASSED if finding.passed else FAILED),
        ("why", finding.reason),
        ("when", about["began"]),
        ("what", f"{about['candidate']} in the place of {about['stable']} for {about['alias']}"),
        ("share", written_share(about["share"])),
        ("taken back by", about["by"]),
        ("servers", ", ".join(about["servers"])),
        ("requests", f"{finding.requests}, {finding.met} met the candidate, {finding.after} after the decision"),
        ("last met", f"{finding.seconds:.3f} s after the decision; allowed: {WITHIN:.1f} s"),
        ("failed requests", str(finding.broken)),
        ("took", f"{about['took']:.1f} s"),
    )
    return "\n".join(["Rollback drill", "", *(f"{name + ':':17}{value}" for name, value in rows)]) + "\n"
