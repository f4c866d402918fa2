"""Small seeded traffic for the judge's tests: forty sessions at a time, each of twenty calls, one call a second."""

import math
import random

from twospeed.policy.judge import Observation
from twospeed.policy.rollout import Rollout, Target

TARGET = Target(alias="coder", stable="sim/old", candidate="sim/new")


def rollout(**settings):
    """A rollout with a bake short enough for small streams."""
    return Rollout(id="r", target=TARGET, **settings)


def calls(count, share=0.3, slower=1.0, seed=1, rate=1.0, begins=0.0, spread=0.4, noise=0.4, more=None):
    """Observations; `slower` holds for the candidate from `begins` on; `more(random, candidate, ts)` adds fields."""
    rng = random.Random(seed)
    under_way = []
    made = 0
    for number in range(count):
        ts = number / rate
        while len(under_way) < 40:
            made += 1
            under_way.append([f"s{seed}-{made}", rng.randint(5, 35), rng.random() < share, rng.gauss(0, spread)])
        session = rng.choice(under_way)
        session[1] -= 1
        if not session[1]:
            under_way.remove(session)
        name, _, candidate, level = session
        worse = math.log(slower) if candidate and ts >= begins else 0.0
        latency = 2_000 * math.exp(level + worse + rng.gauss(0, noise))
        fields = {"latency_ms": latency, "ttft_ms": latency / 5 * math.exp(rng.gauss(0, 0.2)), "ok": True}
        fields |= {"prompt_tokens": 4_000.0} | (more(rng, candidate, ts) if more else {})
        yield Observation(ts, name, "candidate" if candidate else "stable", **fields)


def until(judge, stream):
    """Feed a judge until it says anything but baking; the last verdict."""
    for seen in stream:
        if judge.observe(seen):
            verdict = judge.verdict(judge.now)
            if verdict.outcome != "baking":
                return verdict
    return judge.verdict(judge.now, close=True)
