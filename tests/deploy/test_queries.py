"""Dashboard and alerts against a server that has served: every name and every label they ask for is on /metrics."""

import json
import re
from pathlib import Path
from textwrap import dedent

import pytest
import pytest_asyncio
import yaml
from tests.openmetrics import parse
from tests.promql import selectors
from tests.serving import serving
from tests.telemetry.records import record

from twospeed.errors import Kind
from twospeed.policy.held import Held
from twospeed.policy.rollout import State
from twospeed.types import Verdict, Weighed

DEPLOY = Path(__file__).parent.parent.parent / "deploy"
SCRAPED = {"job", "instance"}  # labels that Prometheus adds
WINDOWS = ("$__rate_interval", "$__range")

BUSY = dedent("""
    listen: {port: 0}
    providers:
      one:
        kind: simulated
        models: {m: {}}
        simulate: &quick {first_token: {median: 1ms}, tokens_per_second: 100000}
        limits: {"*": {rpm: 5, tpm: 1M}}
      two: {kind: simulated, models: {m: {}}, simulate: *quick}
      slow: {kind: simulated, models: {m: {price: {input: 1, output: 2}}}, simulate: *quick}
    tiers:
      fast: {models: [one/m, two/m], resume: true, hedge: {after: 50ms, extra: 100%}}
      deep: {models: [slow/m]}
    telemetry:
      traces: {endpoint: "http://127.0.0.1:9"}
      metrics: {endpoint: "http://127.0.0.1:9", timeout: 100ms}
""")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def exposed():
    """What /metrics says after traffic of every sort: label values by sample and label."""
    async with serving(BUSY) as server:
        for tier in ("fast", "deep"):
            await (await server.chat(headers={"x-twospeed-tier": tier}, stream=True)).read()
        await (await server.chat("reverse a string in python")).read()
        await (await server.chat(headers={"x-twospeed-simulate": "http:500@one"}, model="fast", stream=True)).read()
        await (await server.chat(headers={"x-twospeed-simulate": "http:500"}, model="deep")).read()
        late, broken = {"x-twospeed-simulate": "first:300ms@one"}, {"x-twospeed-simulate": "reset:2@one"}
        await (await server.chat("late", headers=late, model="fast", stream=True)).read()
        body = {"model": "fast", "prompt": "def ", "stream": True}
        await (await server.http.post(server.url + "/v1/completions", json=body, headers=broken)).read()
        for _ in range(6):
            await (await server.chat(model="fast")).read()
        weighed = Weighed("fast", 1, 0.1, 0.1, 0.1, made=True)
        server.server.reporting.metrics(record(observed=Verdict("deep", ()), weighed=weighed))
        books = server.server.api.runtime.mirror.books
        books.sent["r"] = books.compared["r"] = books.dropped["busy"] = books.tokens["input"] = 1
        books.differed["r", "tool"] = books.faults["r", "reset"] = 1
        arming = server.server.arming
        arming.follow({"r": Held(State("r", (0.05,)), 1, 0.0, 0.0, {})}, server.server.api.runtime)
        arming.sightings.counts["r", "candidate", "ok"] += 1
        text = (await server.server.desk.metrics(""))[1].decode()
    found: dict[str, dict[str, set[str]]] = {}
    for family in parse(text, open_metrics=False).values():
        for sample in family.samples:
            labels = found.setdefault(sample.name, {})
            for label, value in sample.labels:
                labels.setdefault(label, set()).add(value)
    return found


def panels():
    """Every query of the dashboard with the legend of its lines, by the title of its panel."""
    document = json.loads((DEPLOY / "grafana/dashboard.json").read_text())
    return [
        pytest.param(target["expr"], target["legendFormat"], id=f"{panel['title']} {target['refId']}")
        for panel in document["panels"]
        for target in panel.get("targets", ())
    ]


def rules():
    """Every rule of the alerts."""
    for group in yaml.safe_load((DEPLOY / "prometheus/alerts.yaml").read_text())["groups"]:
        yield from group["rules"]


RECORDED = {rule["record"] for rule in rules() if "record" in rule}


def unresolved(query, exposed):
    """What a query asks for and nobody has."""
    for selector in selectors(query):
        if selector.name in RECORDED:
            assert selector.labels <= {"tier"}
            continue
        labels = exposed.get(selector.name)
        if labels is None:
            yield selector.name
            continue
        yield from (f"{selector.name}{{{label}}}" for label in selector.labels - labels.keys() - SCRAPED)
        for matcher in selector.matchers:
            if matcher.operator == "=" and matcher.value not in labels[matcher.label]:
                yield str(matcher)
            if matcher.label == "kind":
                yield from set(matcher.value.split("|")) - {kind.value for kind in Kind}


def test_a_query_that_asks_for_nothing_is_found_out(exposed):
    """The checks below would notice a wrong name, label or value."""
    assert list(unresolved("sum(rate(twospeed_nothing_total[5m]))", exposed)) == ["twospeed_nothing_total"]
    assert list(unresolved("sum by (pool) (twospeed_workers)", exposed)) == ["twospeed_workers{pool}"]
    assert list(unresolved('twospeed_requests_total{tier="fst"}', exposed)) != []
    assert list(unresolved('twospeed_faults_total{kind!~"reset|rst"}', exposed)) == ["rst"]


@pytest.mark.parametrize(("query", "legend"), panels())
def test_every_panel_has_something_to_show(exposed, query, legend):
    """No panel stays empty because a name or a label does not exist."""
    assert list(unresolved(query, exposed)) == []
    grouped = {label for selector in selectors(query) for label in selector.grouped}
    assert set(re.findall(r"{{(\w+)}}", legend)) <= grouped


def test_variables_are_those_that_queries_use():
    """What can be chosen at the top of the page has an effect, and nothing else is asked for."""
    document = json.loads((DEPLOY / "grafana/dashboard.json").read_text())
    offered = {variable["name"] for variable in document["templating"]["list"]}
    used = {name for query, _ in (panel.values for panel in panels()) for name in re.findall(r"\$(\w+)", query)}
    assert used - {window.removeprefix("$") for window in WINDOWS} == offered - {"datasource"}


def test_variables_find_their_values(exposed):
    """The lists at the top of the page fill."""
    document = json.loads((DEPLOY / "grafana/dashboard.json").read_text())
    for variable in document["templating"]["list"][1:]:
        query, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["definition"]).groups()
        assert list(unresolved(query, exposed)) == []
        assert label in exposed[selectors(query)[0].name].keys() | SCRAPED


@pytest.mark.parametrize("rule", list(rules()), ids=lambda rule: rule.get("alert") or rule["record"])
def test_every_alert_can_fire(exposed, rule):
    """What an alert looks at exists, and what it says of it too."""
    assert list(unresolved(rule["expr"], exposed)) == []
    found = selectors(rule["expr"])
    known = {label for one in found for label in one.grouped} | {"tier", *SCRAPED}
    told = " ".join(rule.get("annotations", {}).values())
    assert set(re.findall(r"\$labels\.(\w+)", told)) <= known
