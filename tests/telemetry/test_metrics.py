"""Metrics: what a snapshot says about the requests that went by."""

from tests.openmetrics import parse
from tests.telemetry.records import DEEP, FAST, SAMPLED, TRACE, attempt, record

from twospeed.errors import MEANING, Kind
from twospeed.telemetry import TOGETHER
from twospeed.telemetry.exposition import OPEN_METRICS, render
from twospeed.telemetry.instruments import (
    ATTEMPTS,
    DECISIONS,
    FAULTS,
    IN_FLIGHT,
    INSTRUMENTS,
    LIMIT_REFUSED,
    OPERATION_DURATION,
    REQUEST_DURATION,
    REQUESTS,
    TIER_DOWN,
    TOKENS,
)
from twospeed.telemetry.metrics import RULES, SERIES, Metrics, Reading
from twospeed.types import Backend, Price, Usage, Verdict, Weighed

HERE = ("fast", "near", "spark", "eu")
THERE = ("deep", "far", "heavy/one", "us")


def values(metrics, instrument):
    """Everything an instrument says, by labels."""
    return {point.labels: point.value for point in metrics.snapshot().get(instrument.name, [])}


def test_requests_are_counted_by_tier_backend_and_code():
    """Two requests here and one there."""
    metrics = Metrics()
    metrics(record())
    metrics(record())
    metrics(record(tier="deep", attempts=[attempt(DEEP)]))
    assert values(metrics, REQUESTS) == {(*HERE, "200"): 2, (*THERE, "200"): 1}
    assert values(metrics, TOKENS)[(*HERE, "input")] == 2_000


def test_a_snapshot_tells_of_every_request_before_it():
    """Requests are counted some at a time, but whoever asks hears of all of them, once each."""
    metrics = Metrics()
    for number in range(1, 3 * TOGETHER):
        metrics(record())
        if number % 5 == 0:
            assert values(metrics, REQUESTS) == {(*HERE, "200"): number}
    assert values(metrics, REQUESTS) == {(*HERE, "200"): 3 * TOGETHER - 1}


def test_a_fallback_counts_one_request_and_two_attempts():
    """The failed attempt is told of the backend that failed, the request of the one that served it."""
    metrics = Metrics()
    metrics(record(attempts=[attempt(FAST, kind=Kind.FIRST_TOKEN_TIMEOUT), attempt(DEEP, 100.5)]))
    assert values(metrics, REQUESTS) == {("fast", "far", "heavy/one", "us", "200"): 1}
    assert values(metrics, ATTEMPTS) == {
        (*HERE, "first_token_timeout"): 1,
        ("fast", "far", "heavy/one", "us", "ok"): 1,
    }
    assert values(metrics, FAULTS) == {}


def test_a_tier_that_was_down_is_counted_by_what_its_requests_got():
    """The tier is the one that could not serve, also where another one did."""
    metrics = Metrics()
    metrics(record(tier="deep", notes=["down:fast:other_tier"]))
    metrics(record(notes=["down:fast:empty"]))
    metrics(record(notes=["down:fast:empty"]))
    assert values(metrics, TIER_DOWN) == {("fast", "other_tier"): 1, ("fast", "empty"): 2}


def test_decisions_are_counted_by_tier_and_rule():
    """Why requests go where they go, without the details of each reason."""
    metrics = Metrics()
    metrics(record(tier="deep", reasons=("effort:high", "tools:2")))
    metrics(record(tier="deep", reasons=("effort:max",)))
    metrics(record(tier="fast", reasons=("pinned:header",)))
    metrics(record(tier="", reasons=(), attempts=[]))
    assert values(metrics, DECISIONS) == {("deep", "effort"): 2, ("fast", "pinned"): 1}


def test_rules_stay_bounded():
    """More rules than there is room for are counted together, and a rule keeps the name it got."""
    metrics = Metrics()
    for number in range(100):
        metrics(record(reasons=(f"rule{number}:x",)))
    counts = values(metrics, DECISIONS)
    assert len(counts) == RULES
    assert counts["fast", "rule0"] == 1
    assert sum(counts.values()) == 100


def test_a_request_that_reached_nobody_is_counted_too():
    """Names that clients make up never become labels."""
    metrics = Metrics()
    for number in range(1_000):
        made_up = record(requested_model=f"made-up-{number}", attempts=[], tier="", status=404, usage=None)
        made_up.fault, made_up.committed_at = Kind.MODEL_NOT_FOUND, None
        metrics(made_up)
    assert values(metrics, REQUESTS) == {("none", "none", "other", "none", "404"): 1_000}
    assert values(metrics, FAULTS) == {("none", "none", "other", "none", "model_not_found"): 1_000}


def test_refusals_by_a_limit_are_counted_by_pool_and_dimension():
    """A family with a colon in its name does not confuse the count."""
    metrics = Metrics()
    metrics(record(notes=["limited:near/llama:8b:rpm", "limited:near/llama:8b:rpm", "breaker_open:x"]))
    assert values(metrics, LIMIT_REFUSED) == {("near/llama:8b", "rpm"): 2}


def test_series_stay_bounded_whatever_comes():
    """A configuration of a thousand backends and every kind of fault fits; the rest is told as "other"."""
    metrics = Metrics()
    for number in range(1_000):
        backend = Backend(f"p{number}", "m", "r", f"p{number}/m@r")
        for kind in (None, *list(Kind)[:5]):
            metrics(record(attempts=[attempt(backend, kind=kind)], fault=kind, status=200 if kind is None else 500))
    metrics.watch(lambda: [Reading(IN_FLIGHT, (), 1)] * 5_000)
    text = render(metrics.snapshot(), "")[1].decode()
    assert sum(not line.startswith("#") for line in text.splitlines()) <= SERIES
    counts = values(metrics, REQUESTS)
    assert sum(counts.values()) == 6_000
    assert counts[("other", "other", "other", "other", "200")] > 900


def test_a_few_backends_have_room_for_every_name():
    """With a handful of backends each status and each kind of fault is told by its name."""
    metrics = Metrics()
    for number in range(4):
        backend = Backend("p", f"m{number}", "r", f"p/m{number}@r")
        for kind in Kind:
            metrics(record(attempts=[attempt(backend, kind=kind)], fault=kind, status=MEANING[kind].status))
    for instrument in (REQUESTS, ATTEMPTS, FAULTS):
        assert not [labels for labels in values(metrics, instrument) if "other" in labels]


def test_what_got_a_name_keeps_it():
    """Counters never go back because a newcomer took the room."""
    metrics = Metrics()
    metrics(record())
    before = values(metrics, REQUESTS)
    for number in range(500):
        metrics(record(attempts=[attempt(Backend("p", f"m{number}", "r", f"p/m{number}@r"))]))
    after = values(metrics, REQUESTS)
    assert all(after[labels] >= value for labels, value in before.items())


def test_only_traces_that_are_kept_become_exemplars():
    """Whoever follows an exemplar finds its trace."""

    def exemplars(**fields):
        metrics = Metrics()
        metrics(record(**fields))
        (point,) = metrics.snapshot()[REQUEST_DURATION.name]
        return list(point.spread.exemplars.values())

    assert exemplars(trace=None) == []
    assert exemplars(trace=TRACE) == []
    assert exemplars(trace=SAMPLED)[0].trace == SAMPLED.id
    assert exemplars(trace=TRACE, fault=Kind.TRUNCATED)[0].trace == TRACE.id


def test_a_snapshot_does_not_change_later():
    """Numbers that were read stay as they were read."""
    metrics = Metrics()
    metrics(record())
    before = metrics.snapshot()
    text = render(before, "")
    metrics(record())
    assert render(before, "") == text


def test_genai_instruments_are_kept_only_where_they_are_wanted():
    """They cost time, and only OTLP carries them."""
    plain, full = Metrics(), Metrics(operations=True)
    for metrics in (plain, full):
        metrics(record())
    assert OPERATION_DURATION.name not in plain.snapshot()
    assert full.snapshot()[OPERATION_DURATION.name][0].labels == ("chat", *HERE, "")


def test_everything_counted_is_in_the_exposition():
    """Each wide instrument that has a value can be scraped."""
    metrics = Metrics(operations=True)
    metrics(
        record(
            trace=SAMPLED,
            notes=["limited:near/spark:tpm", "down:fast:refuse", "hedge:fast:won", "resume:fast:ok"],
            fault=Kind.TRUNCATED,
        )
    )
    weighed = Weighed("fast", 1_000, 0.01, 0.1, 0.01, made=True)
    priced = Backend("p", "m", "r", "p/m@r", price=Price(1.0, 2.0, 0.1, 1.0))
    for backend in (priced, FAST):
        used = attempt(backend, usage=Usage(1_000, 11))
        metrics(record(attempts=[used], observed=Verdict("deep", ()), weighed=weighed))
    metrics.watch(lambda: [Reading(i, ("x",) * len(i.labels), 1) for i in INSTRUMENTS if i.kind in ("gauge", "info")])
    kind, body = render(metrics.snapshot(), OPEN_METRICS)
    families = parse(body.decode(), open_metrics=True)
    looked_up = {
        "twospeed.config.reloads",
        "twospeed.telemetry.exported",
        "twospeed.telemetry.dropped",
        "twospeed.cpu.time",
        "twospeed.rollout.requests",
        "twospeed.rollout.lost",
        "twospeed.tier.refused",
        "twospeed.store.alone",
        "twospeed.workers.restarts",
    }
    looked_up |= {i.name for i in INSTRUMENTS if i.name.startswith("twospeed.shadow.") and i.kind == "counter"}
    expected = {i.family for i in INSTRUMENTS if i.wide and i.name not in looked_up}
    assert families.keys() == expected
    assert kind == OPEN_METRICS
