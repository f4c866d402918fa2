"""From sums to one reading per criterion."""

import math

import pytest
from tests.policy.judge.traffic import calls

from twospeed.policy.criteria import Criterion
from twospeed.policy.judge.intake import Intake, Quantiles
from twospeed.policy.judge.weigh import Scale

LATENCY, ERRORS = Criterion(metric="latency_p99"), Criterion(metric="error_rate")


def weighed(criteria, stream):
    intake = Intake(3600.0, {"latency": Quantiles(0.99, 1.25)}, by_language=True)
    for seen in stream:
        intake.observe(seen)
    intake.close()
    scale = Scale(criteria, 0.01)
    return scale, scale.weigh(intake)


def test_a_good_candidate_is_measured_and_clear():
    """The ratio is near one, the power high, the evidence none."""
    scale, (latency, errors) = weighed([LATENCY, ERRORS], calls(9_000))
    assert latency.estimate == pytest.approx(1.0, abs=0.15)
    assert latency.clear
    assert errors.clear
    assert scale.total([latency, errors]) < 0 < scale.line


def test_each_guard_has_its_share_of_the_error_budget():
    """One guard among four needs four times the evidence."""
    one, readings = weighed([LATENCY], calls(2_000, slower=2.0))
    alone = one.total(readings)
    several, more = weighed([LATENCY, ERRORS, Criterion(metric="stall_rate"), Criterion(metric="refusal_rate")], [])
    assert alone == pytest.approx(readings[0].log_e)
    assert several.total(more) == pytest.approx(0.0)


def test_the_start_of_the_trouble_is_named():
    """What began in the third hour is measured from there."""
    _, (latency,) = weighed([Criterion(metric="latency")], calls(12_000, slower=3.0, begins=7_200.0))
    assert latency.worst.since == 2
    assert latency.worst.estimate == pytest.approx(3.0, rel=0.15)


def test_the_worst_language_is_named():
    """Invalid tool calls in one of four languages point to it."""

    def tools(rng, candidate, ts):
        language = rng.choice(["go", "python", "rust", "java"])
        return {
            "language": language,
            "tool_call_valid": rng.random() > (0.15 if candidate and language == "rust" else 0.002),
        }

    invalid = Criterion(metric="tool_call_invalid_rate", slack="0.5pp", by="language")
    scale, (reading,) = weighed([invalid], calls(4_000, more=tools))
    assert reading.worst.language == "rust"
    assert reading.log_e > scale.line


def test_what_nobody_reports_is_not_measured():
    """Without any refusal reported there is no reading, and no evidence either way."""
    _, (reading,) = weighed([Criterion(metric="refusal_rate")], calls(500))
    assert not reading.measured
    assert not reading.stable
    assert reading.log_e == 0.0
    assert math.isnan(reading.estimate)
