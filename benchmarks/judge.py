"""Measure the judge of rollouts on made-up traffic: false rollbacks, and how soon regressions are found.

    python benchmarks/judge.py [--seeds N] [SCENARIO ...]

Prints one row per scenario: rollbacks, with the 95% upper bound where there should be none, and the candidate requests
between the onset of the regression and the rollback. Without names every scenario is run, which takes hours on one core.
"""

import argparse
import math
import time
from collections.abc import Iterator
from dataclasses import replace

import msgspec
import numpy as np

from canaries import Canary, Stream, stream
from twospeed.policy.judge import Observation
from twospeed.policy.judge.course import Action, Course, Decision
from twospeed.policy.judge.paired import Paired
from twospeed.policy.pairing import Pair, Side
from twospeed.policy.rollout import Gate, Rollout, ShadowGate, Target
from twospeed.policy.shadow import ShadowJudge

HOUR = 3600.0
TIMES = (1.0, 1.1, 2.0, 4.0)  # as slow as the stable version, of candidates judged by pairs
PLAIN = Canary()
ROLLOUT = Rollout(id="r", target=Target(alias="a", stable="p/s", candidate="p/c"))
GATED = ROLLOUT.model_copy(update={"gates": [Gate(shadow=ShadowGate())]})  # 200 pairs
FORGOTTEN = {  # what the judge is not told in a scenario of this ending
    "no session ids": "session",
    "no prompt sizes": "prompt_tokens",
    "no first tokens": "ttft_ms",
}
GOOD = {  # nothing beyond what the guards accept: no rollback is right
    "same": PLAIN,
    "x1.1": replace(PLAIN, slower=1.1),
    "x1.25": replace(PLAIN, slower=1.25),
    "same, sessions t3": replace(PLAIN, session_tail="t3"),
    "same, sessions skewed": replace(PLAIN, session_tail="skewed"),
    "same, errors clustered": replace(PLAIN, base_errors=0.01, clustered=True),
    "same, prompts larger": replace(PLAIN, skew=0.5),
    "same, 12 incidents": replace(PLAIN, incidents=12.0),
    "same, strong waves": replace(PLAIN, waves=0.8),
    "same, long sessions": replace(PLAIN, calls=(20, 200)),
    "same, 0.2/s": replace(PLAIN, rate=0.2),
    "same, 10/s": replace(PLAIN, rate=10.0, hours=8.0),
    "same, no session ids": PLAIN,
    "same, half": replace(PLAIN, share=0.5),
    "same, 5 to 25 to 50%": replace(PLAIN, ramp=((6 * HOUR, 0.25), (12 * HOUR, 0.5))),
}
BAD = {
    "x2": replace(PLAIN, slower=2.0),
    "x4": replace(PLAIN, slower=4.0),
    "errors 4.5%": replace(PLAIN, errors=0.045),
    "tail: 3% x6": replace(PLAIN, tail=0.03, tail_factor=6.0),
    "x2 from 1 h": replace(PLAIN, slower=2.0, onset=HOUR),
    "x2 from 6 h": replace(PLAIN, slower=2.0, onset=6 * HOUR),
    "x2 from 12 h": replace(PLAIN, slower=2.0, onset=12 * HOUR),
    "errors from 6 h": replace(PLAIN, errors=0.045, onset=6 * HOUR),
    "x2, 0.2/s": replace(PLAIN, slower=2.0, rate=0.2),
    "x2, 10/s": replace(PLAIN, slower=2.0, rate=10.0, hours=4.0),
    "x2, half": replace(PLAIN, slower=2.0, share=0.5),
    "x2, spread 0.3": replace(PLAIN, slower=2.0, spread=0.3),
    "x2, spread 0.8": replace(PLAIN, slower=2.0, spread=0.8),
    "x2, no first tokens": replace(PLAIN, slower=2.0),
    "x2, no prompt sizes": replace(PLAIN, slower=2.0),
    "everything fails": replace(PLAIN, errors=1.0),
}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("names", nargs="*", metavar="SCENARIO")
    arguments.add_argument("--seeds", type=int, default=100)
    arguments.add_argument("--first", type=int, default=1_000)
    options = arguments.parse_args()
    special = {"pairs": pairs, "gate": gate}
    for name in options.names or [*GOOD, *BAD, *special]:
        begun = time.perf_counter()
        seeds = range(options.first, options.first + options.seeds)
        rows = special[name](seeds) if name in special else [scenario(name, seeds)]
        for row in rows:
            print(f"{row}   [{time.perf_counter() - begun:.0f} s]", flush=True)


def scenario(name: str, seeds: range) -> str:
    """Run one scenario and return its row."""
    canary = GOOD.get(name) or BAD[name]
    forgotten = next((field for ending, field in FORGOTTEN.items() if name.endswith(ending)), "")
    runs = [_judged(canary, seed, forgotten) for seed in seeds]
    found = [run for run in runs if run is not None]
    if name in GOOD:
        return f"{name:24} rolled back {len(found)}/{len(runs)} (at most {upper(len(found), len(runs)):.2%})"
    counts = sorted([run for run in runs if run is not None] + [10**9] * (len(runs) - len(found)))
    p50, p95 = (counts[min(math.ceil(share * len(counts)), len(counts)) - 1] for share in (0.5, 0.95))
    early = sum(count < 0 for count in counts)
    shown = ["never" if count == 10**9 else f"{count:,}" for count in (p50, p95)]
    return f"{name:24} found {len(found)}/{len(runs)}, requests p50 {shown[0]}, p95 {shown[1]}, before onset {early}"


def _judged(canary: Canary, seed: int, forgotten: str) -> int | None:
    """Return candidate requests from the onset to the rollback, None without one."""
    drawn = stream(canary, seed)
    decision = rolled_back(drawn, forgotten)
    if decision is None:
        return None
    before = int((drawn.candidate & (drawn.ts < canary.onset)).sum())
    return decision.n_candidate - before


def rolled_back(drawn: Stream, forgotten: str = "") -> Decision | None:
    """Return the decision to roll back, if any. Args: forgotten: a field that the judge is not told."""
    course = Course(ROLLOUT)
    for seen in observations(drawn, forgotten):
        decision = course.observe(seen)
        if decision is not None and decision.decision is Action.ROLLBACK:
            return decision
    last = course.finish()
    return last if last is not None and last.decision is Action.ROLLBACK else None


def observations(drawn: Stream, forgotten: str = "") -> Iterator[Observation]:
    """Return a stream as the judge is told it."""
    arms = np.where(drawn.candidate, "candidate", "stable").tolist()
    columns = (drawn.ts, drawn.session, drawn.latency, drawn.ttft, drawn.ok, drawn.output, drawn.prompt)
    rows = zip(arms, zip(*(column.tolist() for column in columns), strict=True), strict=True)
    for number, (arm, (ts, session, latency, ttft, ok, output, prompt)) in enumerate(rows):
        seen = Observation(ts, session, arm, latency, ttft, ok, output, prompt)
        if forgotten:
            seen = msgspec.structs.replace(seen, **{forgotten: number if forgotten == "session" else None})
        yield seen


def pairs(seeds: range) -> list[str]:
    """Shadow pairs, judged by one duration."""
    return [
        _paired("pairs", times, [_refused_at(times, np.random.default_rng(seed)) for seed in seeds]) for times in TIMES
    ]


def gate(seeds: range) -> list[str]:
    """Shadow pairs, judged as a gate of 200 pairs does: by all guards of a rollout, which share the rate of false alarms."""
    rows = [
        _paired("gate", times, [_kept_out_at(times, np.random.default_rng(seed)) for seed in seeds]) for times in TIMES
    ]
    failing = [_kept_out_at(1.0, np.random.default_rng(seed), errors=0.2) for seed in seeds]
    return [*rows, _paired("gate, 20% errors, ", 1.0, failing, good=False)]


def _paired(name: str, times: float, counts: list[int | None], good: bool | None = None) -> str:
    refused = [count for count in counts if count is not None]
    if times < 1.2 if good is None else good:
        return (
            f"{name} x{times:<18} refused {len(refused)}/{len(counts)} (at most {upper(len(refused), len(counts)):.2%})"
        )
    p50, p95 = np.quantile(refused, [0.5, 0.95], method="higher")
    return f"{name} x{times:<18} refused {len(refused)}/{len(counts)}, pairs p50 {p50:.0f}, p95 {p95:.0f}"


def differences(times: float, rng: np.random.Generator) -> Iterator[float]:
    """A request answered by both: log ratios, with the spread that remains between two answers to one request."""
    spread, noise = rng.uniform(0.0, 0.3), rng.uniform(0.3, 0.6)
    session, left = 0.0, 0
    while True:
        if not left:
            session, left = rng.normal(0, spread), int(rng.integers(1, 6))
        left -= 1
        difference = math.log(times) + session + rng.normal(0, noise * math.sqrt(2))
        if rng.random() < 0.03:
            difference += rng.choice([-1, 1]) * min(rng.pareto(1.5), 6.0)
        yield difference


def _refused_at(times: float, rng: np.random.Generator) -> int | None:
    paired = Paired(tolerance=1.25, target=2.0, alpha=0.01)
    for number, difference in zip(range(400), differences(times, rng), strict=False):
        paired.observe(difference)
        if paired.worse:
            return number + 1
    return None


def _kept_out_at(times: float, rng: np.random.Generator, errors: float = 0.005) -> int | None:
    """Time to the first token goes with the whole duration, as it does in life: it differs by a little noise."""
    judge = ShadowJudge(GATED)
    for number, difference in enumerate(differences(times, rng)):
        first = difference + rng.normal(0, 0.2)
        failed = ["" if rng.random() > share else "provider_error" for share in (0.005, errors)]
        stable = Side(failed[0], latency=5.0, first_token=1.0)
        candidate = Side(failed[1], latency=5.0 * math.exp(difference), first_token=math.exp(first))
        judge.observe(Pair("r", 0.0, stable, candidate, stream=True))
        outcome = judge.verdict().outcome
        if outcome != "waiting":
            return number + 1 if outcome == "refused" else None
    raise AssertionError("differences never end")


def upper(hits: int, runs: int) -> float:
    """Return the 95% upper bound of a share (Clopper and Pearson)."""
    low, high = hits / runs, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        below = sum(math.comb(runs, k) * middle**k * (1 - middle) ** (runs - k) for k in range(hits + 1))
        low, high = (middle, high) if below > 0.05 else (low, middle)
    return high


if __name__ == "__main__":
    main()
