"""deploy/prometheus/alerts.yaml: when somebody should look, and how soon. `make docs` writes it; a test says when it is stale.

The objective is a share of requests without a fault of ours or of a provider. What remains is a budget for 30 days; an
alert says how fast it is being spent, over a long window so that it matters, and over a short one so that it still does.

Source: Google SRE workbook, "Alerting on SLOs"; windows as in sloth's google-30d.
"""

from typing import Any, NamedTuple

import yaml

from twospeed.telemetry.dashboard import NOT_THE_CLIENTS
from twospeed.telemetry.instruments import (
    ATTEMPTS,
    BREAKER_STATE,
    DROPPED,
    FAULTS,
    FIRST_TOKEN,
    LIMIT,
    LIMIT_USED,
    MEMORY,
    NONE,
    RELOADS,
    REQUESTS,
    STORE_UP,
    WORKERS,
)

OBJECTIVE = 0.995
FEWEST = 30  # requests in the long window below which a share says nothing
RUNBOOK = "docs/operations.md"
_HEAD = "# Alerts and what they are computed from. Made by `make docs` from the table of instruments: do not edit.\n"
_RATIO = "tier:twospeed_fault_ratio:rate"


class Burn(NamedTuple):
    """How many times too fast the budget is spent, over both windows; `spent` says what that comes to."""

    factor: float
    short: str
    long: str
    severity: str
    spent: str


BURNS = (
    Burn(14.4, "5m", "1h", "page", "an hour so takes 2% of the month's"),
    Burn(6, "30m", "6h", "page", "six hours so take 5% of the month's"),
    Burn(3, "2h", "1d", "ticket", "a day so takes 10% of the month's"),
    Burn(1, "6h", "3d", "ticket", "three days so take 10% of the month's"),
)


class Alert(NamedTuple):
    """One alert. `lasting`: how long it must hold. `runbook`: heading in docs/operations.md."""

    name: str
    expr: str
    lasting: str
    severity: str
    summary: str
    runbook: str


ALERTS = (
    Alert(
        "TwospeedDown", f"absent({WORKERS.sample})", "2m", "page", "No twospeed is being scraped.", "nothing-is-scraped"
    ),
    Alert(
        "TwospeedNoTraffic",
        f"sum(rate({REQUESTS.sample}[15m])) == 0 and sum(rate({REQUESTS.sample}[15m] offset 1d)) > 0",
        "5m",
        "ticket",
        "No request has finished for 15 minutes; yesterday at this time some did.",
        "no-traffic",
    ),
    Alert(
        "TwospeedBreakerOpen",
        f'max by (provider, model, region) ({BREAKER_STATE.sample}{{state="open"}}) == 1',
        "2m",
        "ticket",
        "{{ $labels.provider }}/{{ $labels.model }}@{{ $labels.region }} keeps failing and is left alone.",
        "breaker-open",
    ),
    Alert(
        "TwospeedStoreDegraded",
        f"min by (instance, store) ({STORE_UP.sample}) == 0",
        "1m",
        "ticket",
        "{{ $labels.instance }} cannot reach {{ $labels.store }} and keeps to its share of the limits.",
        "store-degraded",
    ),
    Alert(
        "TwospeedFirstTokenSlow",
        f'histogram_quantile(0.95, sum by (le) (rate({FIRST_TOKEN.sample}_bucket{{tier="fast"}}[10m]))) > 1.5',
        "10m",
        "ticket",
        "Of the streams of the fast tier 5% begin after {{ $value | humanizeDuration }}.",
        "first-token-latency",
    ),
    Alert(
        "TwospeedFallbacks",
        f"sum by (tier) (rate({ATTEMPTS.sample}[10m]))"
        f' > 1.2 * sum by (tier) (rate({REQUESTS.sample}{{provider!="{NONE}"}}[10m]))',
        "10m",
        "ticket",
        "More than one in five requests of the {{ $labels.tier }} tier needs another attempt.",
        "fallbacks",
    ),
    Alert(
        "TwospeedLimitReached",
        f"max by (pool, dimension) ({LIMIT_USED.sample}) / max by (pool, dimension) ({LIMIT.sample}) > 0.95",
        "10m",
        "ticket",
        "The {{ $labels.dimension }} of {{ $labels.pool }} have been used up for ten minutes.",
        "limits-refused",
    ),
    Alert(
        "TwospeedReloadRefused",
        f'increase({RELOADS.sample}{{outcome="refused"}}[15m]) > 0',
        "0m",
        "ticket",
        "{{ $labels.instance }} refused a configuration and serves by the one before.",
        "reload-refused",
    ),
    Alert(
        "TwospeedTelemetryLost",
        f"sum by (instance, signal) (rate({DROPPED.sample}[15m])) > 0",
        "15m",
        "ticket",
        "{{ $labels.instance }} gives up {{ $labels.signal }}: nobody takes them in time.",
        "telemetry-lost",
    ),
    Alert(
        "TwospeedMemory",
        f"sum by (instance) ({MEMORY.sample}) / sum by (instance) ({WORKERS.sample}) > 1e9",
        "15m",
        "ticket",
        "A worker of {{ $labels.instance }} holds {{ $value | humanize1024 }}B.",
        "memory",
    ),
)


def document() -> str:
    """Return the text of the file."""
    groups = [
        {"name": "twospeed-ratios", "rules": [_record(window) for window in _windows()]},
        {"name": "twospeed-budget", "rules": [_burning(burn) for burn in BURNS]},
        {"name": "twospeed", "rules": [_rule(alert) for alert in ALERTS]},
    ]
    return _HEAD + yaml.safe_dump({"groups": groups}, sort_keys=False, width=140)


def _windows() -> list[str]:
    return list(dict.fromkeys(window for burn in BURNS for window in (burn.short, burn.long)))


def _record(window: str) -> dict[str, Any]:
    failed = f'sum by (tier) (rate({FAULTS.sample}{{kind!~"{NOT_THE_CLIENTS[2:]}"}}[{window}]))'
    every = f"sum by (tier) (rate({REQUESTS.sample}[{window}]))"
    return {"record": _RATIO + window, "expr": f"{failed} / {every}"}


def _burning(burn: Burn) -> dict[str, Any]:
    line = f"{burn.factor:g} * {1 - OBJECTIVE:g}"
    both = f"{_RATIO}{burn.short} > {line} and {_RATIO}{burn.long} > {line}"
    enough = f"sum by (tier) (increase({REQUESTS.sample}[{burn.long}])) > {FEWEST}"
    summary = f"The {{{{ $labels.tier }}}} tier fails {burn.factor:g} times too often: {burn.spent} budget."
    name = f"TwospeedBudgetBurns{burn.factor:g}x".replace(".", "_")
    return _rule(Alert(name, f"{both} and {enough}", "0m", burn.severity, summary, "the-budget-burns"))


def _rule(alert: Alert) -> dict[str, Any]:
    return {
        "alert": alert.name,
        "expr": alert.expr,
        "for": alert.lasting,
        "labels": {"severity": alert.severity},
        "annotations": {"summary": alert.summary, "runbook": f"{RUNBOOK}#{alert.runbook}"},
    }
