"""A round is judged while it goes on: what follows, and what is said meanwhile. Clocks are the observations' own."""

import json
import random

import msgspec
from tests.policy.judge.traffic import calls, rollout

from twospeed.policy.held import JUDGE, Sighting, moved, opened
from twospeed.policy.judge.bench import Bench
from twospeed.policy.pairing import Pair, Side
from twospeed.policy.rollout import Signal

SHORT = {"steps": ["30%", "60%", "100%"], "bake": {"min": "30m", "max": "3h", "min_sessions": 20}}
LIVE = (Signal.START, Signal.READY)


def standing(*signals, **settings):
    """A rollout that began at 0 and to which this happened."""
    one = opened(rollout(**(SHORT | settings)), 0.0).held
    for signal in signals:
        actor = JUDGE if signal is Signal.PAUSE else "ann"
        one = moved(one, signal, actor, "", 0.0, one.state.step).held
    return one


def sightings(stream, attempt=1, step=0):
    return [Sighting("r", attempt, step, seen) for seen in stream]


def followed(bench, held, stream, every=50, step=0):
    """Let it observe and ask it again and again; the first decision and the last progress."""
    stream = sightings(stream, step=step)
    decision = progress = None
    for at in range(0, len(stream), every):
        some = stream[at : at + every]
        bench.observe(some)
        decision, progress = bench.decide(held, some[-1].seen.ts)
        if decision is not None:
            break
    return decision, progress


def test_a_slower_candidate_is_sent_back():
    """With the figures it rests on, as plain JSON, about the step under way."""
    held = standing(*LIVE)
    decision, _ = followed(Bench(held), held, calls(4_000, slower=3.0))
    assert (decision.signal, decision.at) == (Signal.FAIL, 0)
    assert decision.evidence["outcome"] == "fail"
    assert json.loads(json.dumps(decision.evidence, allow_nan=False))["readings"]


def test_a_good_candidate_goes_on_after_its_bake():
    """To the step after the one it was about."""
    held = standing(*LIVE)
    decision, progress = followed(Bench(held), held, calls(9_000, spread=0.3))
    assert (decision.signal, decision.at) == (Signal.ADVANCE, 0)
    assert progress.sessions[1] >= 20


def test_fine_at_five_percent_and_overloaded_at_twenty_five():
    """Each step is judged by itself: what only shows under load is found where it shows, whatever was seen before."""
    held = standing(*LIVE)
    decision, _ = followed(Bench(held), held, calls(9_000, spread=0.3))
    held = moved(held, decision.signal, JUDGE, decision.reason, 0.0, decision.at).held
    bench = Bench(held)
    decision, _ = followed(bench, held, calls(4_000, share=0.6, slower=2.5, seed=2), step=1)
    assert (decision.signal, decision.at) == (Signal.FAIL, 1)


def test_one_language_alone_is_named():
    """A version that is bad only in Go is said to be bad in Go."""

    def spoken(rng, candidate, ts):
        language = rng.choice(("go", "python", "python"))
        return {"language": language, "ok": not (candidate and language == "go" and rng.random() < 0.5)}

    held = standing(*LIVE, guard=[{"metric": "error_rate", "by": "language"}])
    decision, _ = followed(Bench(held), held, calls(4_000, more=spoken))
    assert decision.signal is Signal.FAIL
    assert "go" in decision.reason


def test_a_skewed_hash_pauses_and_is_called_by_its_name():
    """Sessions that come otherwise than the share says cannot be compared."""
    held = standing(*LIVE)
    decision, _ = followed(Bench(held), held, calls(6_000, share=0.45, spread=0.3))
    assert decision.signal is Signal.PAUSE
    assert "sample ratio mismatch" in decision.reason


def test_an_incident_on_both_arms_holds_and_passes():
    """Nobody is sent back for what befalls both; when it is over the step goes on."""

    def failing(rng, candidate, ts):
        return {"ok": not 600 < ts < 1_500 or rng.random() < 0.5}

    held = standing(*LIVE)
    bench = Bench(held)
    stream = list(calls(4_000, spread=0.3, more=failing))
    decision, _ = followed(bench, held, [seen for seen in stream if seen.ts < 1_200])
    assert decision.signal is Signal.TROUBLE
    held = moved(held, decision.signal, JUDGE, "", 1_200.0, decision.at).held
    decision, _ = followed(bench, held, [seen for seen in stream if seen.ts >= 1_200])
    assert decision.signal is Signal.RECOVERED


def test_an_incident_at_the_beginning_of_a_step_holds_as_well():
    """What is usual of the stable version is known from the step before."""
    held = standing(*LIVE)
    before = Bench(held)
    before.observe(sightings(calls(600, spread=0.3)))
    held = moved(held, Signal.ADVANCE, JUDGE, "", 600.0, 0).held
    bench = Bench(held)
    bench.inherit(before)

    def failing(rng, candidate, ts):
        return {"ok": rng.random() < 0.5}

    stream = [msgspec.structs.replace(seen, ts=seen.ts + 600) for seen in calls(200, share=0.6, more=failing, seed=2)]
    decision, _ = followed(bench, held, stream, step=1)
    assert decision.signal is Signal.TROUBLE


def test_no_traffic_is_a_hold_with_that_reason():
    """Silence passes nothing."""
    held = standing(*LIVE)
    assert Bench(held).decide(held, 60.0)[0] is None
    decision, progress = Bench(held).decide(held, 3_600.0)
    assert (decision.signal, decision.reason) == (Signal.TROUBLE, "no requests of this rollout")
    assert progress.outcome == "cannot_measure"


def test_a_short_bake_waits_for_no_long_stretch():
    """A rollout that is tried out in seconds is judged in seconds, and passes nothing that was not looked at."""
    held = standing(*LIVE, bake={"min": "4s", "max": "5m", "min_sessions": 5}, guard=[{"metric": "error_rate"}])
    bench = Bench(held)
    rng = random.Random(1)
    stream = list(calls(100, rate=20.0, more=lambda *_: {"ok": True}))
    bench.observe(sightings(stream))
    assert bench.decide(held, 4.5)[1].calls[1] > 0
    assert bench.decide(held, 4.5)[0] is None  # nothing is known yet of 1pp
    bad = list(calls(100, rate=20.0, seed=2, more=lambda r, candidate, ts: {"ok": not candidate or rng.random() > 0.9}))
    bench.observe(sightings(bad))
    assert bench.decide(held, 6.0)[0].signal is Signal.FAIL


def test_everybody_on_the_candidate_bakes_for_its_time():
    """At 100% there is nothing to compare with."""
    held = standing(*LIVE, steps=["100%"])
    assert Bench(held).decide(held, 1_799.0)[0] is None
    decision, _ = Bench(held).decide(held, 1_801.0)
    assert (decision.signal, decision.at) == (Signal.ADVANCE, 0)


def test_an_operator_may_want_a_pause_instead():
    """Then a failure pauses, once."""
    held = standing(*LIVE, on_fail={"action": "pause"})
    bench = Bench(held)
    decision, _ = followed(bench, held, calls(4_000, slower=3.0))
    assert decision.signal is Signal.PAUSE
    paused = moved(held, Signal.PAUSE, JUDGE, "", 0.0).held
    assert bench.decide(paused, 4_000.0)[0] is None


def test_what_belongs_to_another_step_or_attempt_is_passed_over():
    """A stream that began before the step tells nothing of it; what was lost is counted."""
    held = standing(*LIVE)
    bench = Bench(held)
    stream = list(calls(50))
    bench.observe([*sightings(stream, step=1), *sightings(stream, attempt=2), Sighting("r", 1, 0, stream[0], lost=7)])
    _, progress = bench.decide(held, 10.0)
    assert (sum(progress.calls), progress.lost) == (1, 7)


def test_the_memory_of_a_bench_is_plain():
    """Another host goes on where the leader before had come to."""
    held = standing(*LIVE)
    bench = Bench(held)
    stream = list(calls(4_000, slower=3.0))
    bench.observe(sightings(stream[:300]))
    encoded = msgspec.msgpack.encode(bench.to_plain(), enc_hook=lambda number: number.item())
    other = Bench(held, msgspec.msgpack.decode(encoded))
    for one in (bench, other):
        one.observe(sightings(stream[300:]))
    assert bench.decide(held, stream[-1].ts)[0].reason == other.decide(held, stream[-1].ts)[0].reason


def test_pairs_open_or_close_the_gate():
    """In the shadow it is pairs that count: alike they let in, otherwise they refuse."""
    held = standing(Signal.START, Signal.READY, gates=[{"shadow": {"fraction": "5%", "pairs": 20}}])

    def shadowed(slower):
        bench, rng = Bench(held), random.Random(1)
        for number in range(60):
            took = 2.0 * rng.lognormvariate(0, 0.1)
            sides = (Side(latency=took, first_token=0.4), Side(latency=took * slower, first_token=0.4 * slower))
            pair = Pair("r", float(number), *sides)
            bench.observe([Sighting("r", 1, -1, pair=msgspec.msgpack.encode(pair))])
        return bench.decide(held, 99.0)[0]

    assert shadowed(1.0).signal is Signal.CONFIRMED
    assert shadowed(4.0).signal is Signal.REFUSED
