"""What copies may use, and what pairs say about a candidate."""

import math
import random

import msgspec
import pytest

from twospeed.policy.criteria import Criterion
from twospeed.policy.pairing import Pair, Side
from twospeed.policy.rollout import Gate, Rollout, ShadowGate, Target
from twospeed.policy.shadow import DAY, Purse, Shadow, ShadowJudge

TARGET = Target(alias="a", stable="p/s", candidate="p/c")


def _rollout(*guard: Criterion, pairs: int = 50) -> Rollout:
    more = {"guard": list(guard)} if guard else {}
    return Rollout(id="r", target=TARGET, gates=[Gate(shadow=ShadowGate(pairs=pairs))], **more)


def _pair(chance: random.Random, slower: float = 1.0, language: str = "", **candidate: object) -> Pair:
    base = math.exp(chance.gauss(0.0, 0.8))
    durations = [base * math.exp(chance.gauss(0.0, 0.4)) for _ in range(4)]
    stable = Side(latency=durations[0] * 5, first_token=durations[1])
    other = Side(latency=durations[2] * 5 * slower, first_token=durations[3] * slower, **candidate)
    return Pair("r", 0.0, stable, other, language=language, stream=True)


def _judged(judge: ShadowJudge, pairs) -> int:
    """Feed pairs until the judge decides; return how many it took."""
    for count, pair in enumerate(pairs, 1):
        judge.observe(pair)
        if judge.verdict().outcome != "waiting":
            return count
    return -1


def _drawn(seed: int, count: int = 400, **how: object):
    chance = random.Random(seed)
    return [_pair(chance, **how) for _ in range(count)]


def test_a_good_candidate_is_confirmed_after_its_pairs():
    """Not found worse in as many pairs as the gate asks for: it may go on."""
    judge = ShadowJudge(_rollout(pairs=200))
    assert _judged(judge, _drawn(1)) == 200
    assert judge.verdict().outcome == "confirmed"


@pytest.mark.parametrize(("slower", "most"), [(2.0, 110), (4.0, 25)])
def test_a_slow_candidate_is_refused_soon(slower, most):
    """Twice as slow takes dozens of pairs, four times as slow a few; the reason says how slow."""
    for seed in range(20):
        judge = ShadowJudge(_rollout(pairs=400))
        assert _judged(judge, _drawn(seed, slower=slower)) <= most
        verdict = judge.verdict()
        assert verdict.outcome == "refused"
        assert "times the stable version's" in verdict.reason


def test_a_candidate_that_fails_is_refused():
    """Requests that only the candidate fails count; those that both fail say nothing about it."""
    judge = ShadowJudge(_rollout())
    assert 5 < _judged(judge, _drawn(1, fault="provider_error")) < 30
    assert "error_rate" in judge.verdict().reason
    judge = ShadowJudge(_rollout())
    both = [Pair("r", 0.0, Side(fault="reset"), Side(fault="reset"))] * 300
    assert _judged(judge, both) == -1
    assert judge.pairs == 0


@pytest.mark.parametrize(
    ("metric", "bad"),
    [
        ("refusal_rate", {"refusal": True}),
        ("tool_call_invalid_rate", {"tool_call_valid": False}),
        ("stall_rate", {"stall": True}),
    ],
)
def test_what_a_guard_names_is_judged(metric, bad):
    """Refusals, invalid tool calls and stalls refuse a candidate where a guard asks for them, and only there."""
    judge = ShadowJudge(_rollout(Criterion(metric=metric)))
    assert 0 < _judged(judge, _drawn(1, **bad)) < 30
    assert metric in judge.verdict().reason
    judge = ShadowJudge(_rollout(Criterion(metric="latency")))
    assert _judged(judge, _drawn(1, **bad)) == 50
    assert judge.verdict().outcome == "confirmed"


def test_a_language_that_is_worse_is_named():
    """By language, one bad language among good ones is found and named."""
    guard = Criterion(metric="latency", by="language")
    judge = ShadowJudge(_rollout(guard, pairs=2_000))
    chance = random.Random(3)
    pairs = [_pair(chance, 4.0 if n % 10 == 0 else 1.0, "go" if n % 10 == 0 else "python") for n in range(2_000)]
    assert _judged(judge, pairs) > 0
    assert "in go" in judge.verdict().reason


def test_good_candidates_are_hardly_ever_refused():
    """However often one looks: none of 200 rollouts of an equal version is refused."""
    verdicts = []
    for seed in range(200):
        judge = ShadowJudge(_rollout(pairs=150))
        _judged(judge, _drawn(seed, count=150, slower=1.1))
        verdicts.append(judge.verdict().outcome)
    assert verdicts == ["confirmed"] * 200


def test_what_cannot_be_measured_is_not_confirmed():
    """Pairs without durations keep the gate waiting; first tokens are not missed where nothing streams."""
    judge = ShadowJudge(_rollout(Criterion(metric="latency")))
    assert _judged(judge, [Pair("r", 0.0, Side(), Side())] * 300) == -1
    assert judge.verdict().reason == "cannot measure latency"
    judge = ShadowJudge(_rollout(Criterion(metric="latency"), Criterion(metric="ttft_p95")))
    chance = random.Random(5)
    pairs = [_pair(chance) for _ in range(100)]
    unstreamed = [
        Pair("r", 0.0, Side(latency=one.stable.latency), Side(latency=one.candidate.latency)) for one in pairs
    ]
    assert _judged(judge, unstreamed) == 50


def test_the_judge_goes_on_where_it_was():
    """What it knows is plain data; one loaded from it decides at the same pair."""
    guard = Criterion(metric="latency", by="language")
    pairs = _drawn(7, slower=1.8, language="go")
    first, second = ShadowJudge(_rollout(guard, pairs=400)), ShadowJudge(_rollout(guard, pairs=400))
    for pair in pairs[:5]:
        first.observe(pair)
    second.load(msgspec.json.decode(msgspec.json.encode(first.to_plain())))
    assert _judged(second, pairs[5:]) == _judged(first, pairs[5:])
    assert second.verdict() == first.verdict()
    assert second.differed == first.differed


def test_a_budget_is_for_a_day():
    """What is used up today is there again tomorrow; processes have equal parts of it."""
    settings = Shadow(tokens_per_day=100, cost_per_day=1.0)
    purse = Purse(parts=2)
    assert purse.empty(settings, 5.0) is None
    purse.spend(49, 0.1, 6.0)
    assert purse.empty(settings, 7.0) is None
    purse.spend(1, 0.0, 8.0)
    assert purse.empty(settings, 9.0) == "tokens"
    assert purse.empty(settings, 9.0 + DAY) is None
    purse.spend(0, 0.5, 9.0 + DAY)
    assert purse.empty(settings, 10.0 + DAY) == "cost"
    assert purse.empty(Shadow(), 10.0 + DAY) is None
