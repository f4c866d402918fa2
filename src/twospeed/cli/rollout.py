"""`twospeed rollout`: lint, plan and replay, which need no server.

Exit codes of `replay`: 0 healthy, 3 rolled back, 5 inconclusive, 1 when lines could not be read. 2 is wrong usage, as
everywhere; 4 is kept for a gate that refuses.
"""

import argparse
import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import msgspec

from twospeed.cli import FAILED, MISUSED, OK
from twospeed.config import Loaded, load
from twospeed.policy.judge import Observation
from twospeed.policy.judge.course import Action, Course, Decision
from twospeed.policy.judge.forecast import CHANCES, Expected, Traffic, forecast
from twospeed.policy.rollout import Rollout
from twospeed.problems import ConfigError, Problem, render
from twospeed.units import written_duration, written_share

ROLLED_BACK, INCONCLUSIVE = 3, 5
LONGEST_LINE = 1 << 20  # bytes


class Misused(Exception):
    """What was asked for cannot be done; the message says why."""


def lint(options: argparse.Namespace) -> int:
    """Say what is wrong with the rollouts of a config file, and what is unwise."""
    try:
        loaded = load(options.file)
    except ConfigError as error:
        print(json.dumps(_linted(error.problems, ())) if options.json else render(error.problems))
        return MISUSED
    if options.json:
        print(json.dumps(_linted(loaded.warnings, loaded.config.rollouts)))
        return OK
    if loaded.warnings:
        print(render(loaded.warnings))
    for place, rollout in enumerate(loaded.config.rollouts):
        for advice in unwise(rollout):
            print(f"{options.file}: advice: rollouts[{place}] {rollout.id}: {advice}")
    print(f"{options.file}: ok, rollouts: {len(loaded.config.rollouts)}")
    return OK


def _linted(problems: Sequence[Problem], rollouts: Sequence[Rollout]) -> dict[str, Any]:
    return {
        "ok": all(problem.severity == "warning" for problem in problems),
        "problems": json.loads(render(problems, "json")),
        "rollouts": [{"id": rollout.id, "advice": list(unwise(rollout))} for rollout in rollouts],
    }


def unwise(rollout: Rollout) -> Iterator[str]:
    """Say what a careful operator would do otherwise."""
    if rollout.shadow is None:
        yield "no shadow gate: a bad version is first noticed by clients; add gates: [{shadow: {}}]"
    if rollout.steps[0] > 0.1 and rollout.steps[0] < 1.0:
        yield f"begins with {written_share(rollout.steps[0])} of sessions"
    if rollout.steps[0] == 1.0:
        yield "has no step below 100%: there is nothing to compare with, and nothing is judged"
    if not any(criterion.metric == "error_rate" for criterion in rollout.guard):
        yield "error_rate is not among the guards"
    if rollout.on_fail.action == "pause":
        yield "a failed guard only pauses: somebody must watch"


def plan(options: argparse.Namespace) -> int:
    """Print how many requests and hours each regression takes to be found."""
    try:
        rollout = _rollout(load(options.config), options.rollout)
    except (ConfigError, Misused) as error:
        if options.json:
            print(json.dumps({"error": {"type": "misused", "message": str(error)}, "exit_code": MISUSED}))
        print(error, file=sys.stderr)
        return MISUSED
    traffic = Traffic(rate=options.rate)
    if options.json:
        print(json.dumps(_planned(rollout, traffic), indent=2))
        return OK
    print(
        f"{rollout.id}: {rollout.target.candidate} for {rollout.target.alias} at {options.rate:g} requests/s; "
        f"assumed: {traffic.calls:g} calls a session, log-spread {traffic.between:g} between sessions and "
        f"{traffic.within:g} within, {traffic.errors:.1%} errors"
    )
    for share in rollout.steps:
        print()
        _print_step(rollout, share, traffic)
    return OK


def _planned(rollout: Rollout, traffic: Traffic) -> dict[str, Any]:
    """Return the plan as plain data: requests and hours for each of `chances`, null beyond reach; durations in seconds."""
    most = rollout.bake.max
    return {
        "rollout": rollout.id,
        "target": rollout.target.model_dump(),
        "assumed": msgspec.to_builtins(traffic),
        "chances": list(CHANCES),
        "steps": [
            {
                "share": share,
                "candidate_rate": (rate := traffic.rate * share),
                "bake": rollout.bake.model_dump(),
                "metrics": [
                    {
                        "metric": row.metric,
                        "finds": row.finds,
                        "requests": list(row.requests),
                        "hours": list(row.hours(rate)),
                        "power": row.chance(rate * most),
                    }
                    for row in _rows(rollout, share, traffic)
                ],
            }
            for share in rollout.steps
        ],
    }


def _rows(rollout: Rollout, share: float, traffic: Traffic) -> list[Expected]:
    return forecast(rollout.guard, rollout.false_rollback_rate, share, traffic) if share < 1.0 else []


def replay(options: argparse.Namespace) -> int:
    """Judge recorded observations; prints one JSON line per decision."""
    try:
        rollout = _rollout(load(options.config), options.rollout)
        if options.share is not None and not 0.0 < options.share < 1.0:
            raise Misused("--share: both versions must have been met: between 0% and 100%")
        with _opened(options.observations) as lines:
            return _replayed(Course(rollout, options.share), lines)
    except (ConfigError, Misused) as error:
        print(error, file=sys.stderr)
        return MISUSED
    except OSError as error:
        print(f"{options.observations}: cannot be read: {(error.strerror or str(error)).lower()}", file=sys.stderr)
        return MISUSED


def _replayed(course: Course, lines: BinaryIO) -> int:
    decoder = msgspec.json.Decoder(Observation)
    bad = seen = 0
    for number, line in enumerate(_lines(lines), 1):
        if not line.strip():
            continue
        try:
            observation = decoder.decode(line)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            bad += 1
            print(f"line {number}: {error}", file=sys.stderr)
            continue
        seen += 1
        decision = course.observe(observation)
        if decision is not None:
            _print(decision)
            if decision.decision is Action.ROLLBACK:
                return ROLLED_BACK
    if not seen:
        print("no observations: the stream is empty", file=sys.stderr)
        return FAILED if bad else INCONCLUSIVE
    decision = course.finish()
    if decision is not None:
        _print(decision)
    return _code(course, bad)


def _code(course: Course, bad: int) -> int:
    if course.last is not None and course.last.decision is Action.ROLLBACK:
        return ROLLED_BACK
    if bad:
        return FAILED
    return OK if course.healthy else INCONCLUSIVE


def _print(decision: Decision) -> None:
    sys.stdout.write(msgspec.json.encode(decision).decode() + "\n")
    sys.stdout.flush()


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Return lines, those that are too long cut so that they are refused."""
    while line := file.readline(LONGEST_LINE):
        whole = line
        while not whole.endswith(b"\n") and (whole := file.readline(LONGEST_LINE)):
            continue
        yield line


def _opened(path: str) -> contextlib.AbstractContextManager[BinaryIO]:
    return contextlib.nullcontext(sys.stdin.buffer) if path == "-" else open(path, "rb")


def _rollout(loaded: Loaded, name: str | None) -> Rollout:
    known = {rollout.id: rollout for rollout in loaded.config.rollouts}
    if not known:
        raise Misused(f"{loaded.path}: has no rollouts")
    if name is None and len(known) == 1:
        return next(iter(known.values()))
    if name is None:
        raise Misused(f"{loaded.path}: has several rollouts, say which with --rollout: {', '.join(known)}")
    if name not in known:
        raise Misused(f"{loaded.path}: has no rollout '{name}', only {', '.join(known)}")
    return known[name]


def _print_step(rollout: Rollout, share: float, traffic: Traffic) -> None:
    if share == 1.0:
        print("100% of sessions: nothing to compare with, so nothing is judged; the step bakes and is promoted")
        return
    rate = traffic.rate * share
    bake = rollout.bake
    heading = f"{written_share(share)} of sessions: {rate * 3600:,.0f} candidate requests an hour"
    print(f"{heading}, bake {written_duration(bake.min)} to {written_duration(bake.max)}")
    chances = " / ".join(f"{chance:.0%}" for chance in CHANCES)
    print(f"  {'metric':24}{'finds':46}{'requests for ' + chances:34}{'hours':22}power at {written_duration(bake.max)}")
    for row in _rows(rollout, share, traffic):
        print(f"  {_row(row, rate, rate * bake.max)}")


def _row(row: Expected, rate: float, most: float) -> str:
    requests = " / ".join("never" if amount is None else f"{amount:,.0f}" for amount in row.requests)
    hours = " / ".join("never" if amount is None else f"{amount:.1f}" for amount in row.hours(rate))
    return f"{row.metric:24}{row.finds:46}{requests:34}{hours:22}{row.chance(most):.0%}"
