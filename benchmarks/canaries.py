"""Canaries made up to be hostile: sticky sessions, shared load, incidents on both arms, heavy tails.

One `Canary` is a recipe; `stream(canary, seed)` draws one day of traffic from it as columns. Whatever a recipe leaves as
None is drawn anew for each seed, so that a judge is measured over many kinds of traffic and not over one.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
DAY = 86_400.0


@dataclass(frozen=True)
class Canary:
    """A recipe. Times in seconds; `slower` multiplies every latency of the candidate from `onset` on.

    `spread`: log-spread of sessions, prompt size included, of which `by_prompt` is the share of variance that prompt size
    explains. `tail`: share of the candidate's calls that take `tail_factor` times as long. `errors`: of the candidate from
    `onset` on. `skew`: how many log-spreads larger the candidate's prompts are. `ramp`: (from when, share) pairs.
    """

    hours: float = 24.0
    rate: float = 1.0
    share: float = 0.05
    calls: tuple[int, int] = (5, 50)
    spread: float | None = None
    by_prompt: float | None = None
    noise: float | None = None
    gap: float | None = None
    heavy: float | None = None
    waves: float | None = None
    incidents: float = 2.0
    base_errors: float = 0.005
    clustered: bool = False
    onset: float = 0.0
    slower: float = 1.0
    tail: float = 0.0
    tail_factor: float = 4.0
    errors: float | None = None
    skew: float = 0.0
    ramp: tuple[tuple[float, float], ...] = ()
    session_tail: str = "normal"


@dataclass(frozen=True)
class Stream:
    """One day, in order of time. `candidate`: bool; durations in ms, NaN where unknown."""

    ts: Floats
    session: NDArray[np.int64]
    candidate: NDArray[np.bool_]
    latency: Floats
    ttft: Floats
    ok: NDArray[np.bool_]
    prompt: Floats
    output: Floats


def stream(canary: Canary, seed: int) -> Stream:
    """Draw one day of traffic."""
    rng = np.random.default_rng(seed)

    def pick(value: float | None, low: float, high: float) -> float:
        drawn = float(rng.uniform(low, high))
        return drawn if value is None else value

    spread, by_prompt = pick(canary.spread, 0.3, 0.8), pick(canary.by_prompt, 0.2, 0.7)
    noise, heavy = pick(canary.noise, 0.3, 0.6), pick(canary.heavy, 0.005, 0.03)
    gap = float(np.exp(pick(None if canary.gap is None else np.log(canary.gap), np.log(8.0), np.log(120.0))))
    low, high = canary.calls
    mean_calls = (high - low) / np.log(high / low)
    lead = gap * high * 0.5  # sessions that are under way at time 0
    horizon = canary.hours * 3600
    sessions = rng.poisson((horizon + lead) * canary.rate / mean_calls)
    begins = rng.uniform(-lead, horizon, sessions)
    calls = np.exp(rng.uniform(np.log(low), np.log(high + 1), sessions)).astype(int)
    owner = np.repeat(np.arange(sessions), calls)
    own_gap = gap * np.exp(rng.normal(0, 0.5, sessions))
    gaps = rng.exponential(1.0, owner.size) * own_gap[owner]
    first = np.concatenate([[0], np.cumsum(calls)[:-1]])
    gaps[first] = 0.0
    ts = np.cumsum(gaps)
    ts = ts - ts[first][owner] + begins[owner]
    nth = np.arange(owner.size) - first[owner]
    bucket = rng.random(sessions)
    share = np.full(owner.size, canary.share)
    for begin, new in canary.ramp:
        share[ts >= begin] = new
    candidate = bucket[owner] < share
    effect = rng.normal(size=sessions)
    if canary.session_tail == "t3":
        effect = rng.standard_t(3, sessions) / np.sqrt(3)
    elif canary.session_tail == "skewed":
        effect = rng.exponential(1.0, sessions) - 1.0
    size = rng.normal(size=sessions)
    size += canary.skew * (bucket < max([canary.share, *(new for _, new in canary.ramp)]))
    log_prompt = np.log(6_000) + 0.9 * size[owner] + 0.03 * nth + rng.normal(0, 0.15, owner.size)
    prompt_part = spread * np.sqrt(by_prompt) / 0.9 * (log_prompt - np.log(6_000))
    level = prompt_part + spread * np.sqrt(1 - by_prompt) * effect[owner] + _load(rng, canary, ts)
    slow = rng.random(owner.size) < heavy
    log_latency = (
        np.log(3_000) + level + rng.normal(0, noise, owner.size) + slow * rng.pareto(1.5, owner.size).clip(0, 8)
    )
    log_ttft = np.log(600) + level * 0.8 + rng.normal(0, noise * 1.2, owner.size)
    worse = candidate & (ts >= canary.onset)
    log_latency += worse * np.log(canary.slower)
    log_ttft += worse * np.log(canary.slower)
    unlucky = worse & (rng.random(owner.size) < canary.tail)
    log_latency += unlucky * np.log(canary.tail_factor)
    chance = np.full(owner.size, canary.base_errors)
    if canary.clustered:  # the same number of errors, in one session of ten
        chance = np.where((rng.random(sessions) < 0.1)[owner], canary.base_errors * 10, 0.0)
    if canary.errors is not None:
        chance[worse] = canary.errors
    for _ in range(rng.poisson(canary.incidents * canary.hours / 24)):
        begin, length = rng.uniform(0, horizon), rng.uniform(180, 2400)
        during = (ts >= begin) & (ts < begin + length)
        strength = rng.uniform(2, 8) * np.exp(rng.normal(0, 0.3, sessions))
        log_latency += during * np.log(strength)[owner]
        log_ttft += during * np.log(strength)[owner]
        chance = np.where(during, np.maximum(chance, rng.uniform(0.0, 0.5)), chance)
    ok = rng.random(owner.size) >= chance
    kept = np.flatnonzero((ts >= 0) & (ts < horizon))
    kept = kept[np.argsort(ts[kept], kind="stable")]
    output = np.exp(rng.normal(5.5, 0.8, owner.size))
    return Stream(
        ts[kept], owner[kept], candidate[kept], np.exp(log_latency[kept]), np.exp(log_ttft[kept]), ok[kept],
        np.exp(log_prompt[kept]).round(), output[kept].round(),
    )  # fmt: skip


def _load(rng: np.random.Generator, canary: Canary, ts: Floats) -> Floats:
    """Return what both arms share: a wave over the day and shorter ones, in log units."""
    height = float(rng.uniform(0.0, 0.4)) if canary.waves is None else canary.waves
    load = height * np.sin(2 * np.pi * (ts / DAY + rng.random()))
    for _ in range(3):
        period = np.exp(rng.uniform(np.log(300), np.log(7200)))
        load = load + rng.uniform(0, height) * np.sin(2 * np.pi * (ts / period + rng.random()))
    return load
