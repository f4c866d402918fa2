"""The dashboard: which questions about running servers it answers, as rows of panels; `grafana` makes the file of it.

An instrument that no panel asks for gets one of its own in a last row, so that nothing that is measured stays unseen.
"""

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from twospeed.errors import MEANING, Source
from twospeed.telemetry.instruments import (
    ATTEMPTS,
    BREAKER_STATE,
    BUILD,
    CACHE_KEPT,
    CONFIG,
    CONNECTIONS,
    COST,
    CPU,
    DECISIONS,
    DROPPED,
    EXPORTED,
    FAULTS,
    FIRST_TOKEN,
    IN_FLIGHT,
    INSTRUMENTS,
    KEY_COST,
    KEY_TOKENS,
    LIMIT,
    LIMIT_LEFT,
    LIMIT_REFUSED,
    LIMIT_USED,
    LINE,
    MEMORY,
    NONE,
    OBSERVED,
    OUTPUT_RATE,
    RELOADS,
    REQUEST_DURATION,
    REQUESTS,
    STARTED,
    STORE_UP,
    TIER_IN_FLIGHT,
    TIER_REFUSED,
    TIER_WAITING,
    TOKENS,
    UNPRICED,
    WORKERS,
    Instrument,
)
from twospeed.telemetry.promql import highest, lowest, quantile, rate, select, total

PERCENTILES = (0.5, 0.95, 0.99)
NOT_THE_CLIENTS = "!~" + "|".join(kind.value for kind, of in MEANING.items() if of.source is Source.CLIENT)

_BACKEND = ("provider", "model", "region")
_POOL = ("pool", "dimension")
_EACH = "{{instance}}"
_SERVED = f"&!={NONE}"
_FAILED = "Share that ended in a fault that was not the client's."


class Query(NamedTuple):
    """One line, or several, of a panel. `legend`: with labels in double braces."""

    expr: str
    legend: str = ""


class Word(NamedTuple):
    """What a value is called and how it is coloured."""

    text: str
    color: str


class Panel(NamedTuple):
    """One picture. `unit`: as Grafana names it; `width`: of 24; `alarm`: the value from which a stat is red."""

    title: str
    help: str
    queries: tuple[Query, ...]
    unit: str = "short"
    kind: Literal["timeseries", "stat", "state-timeline", "table"] = "timeseries"
    width: int = 8
    stacked: bool = False
    alarm: float | None = None
    words: tuple[Word, ...] = ()  # for the values 0, 1, 2 ...


class Row(NamedTuple):
    """Panels below one heading."""

    title: str
    panels: tuple[Panel, ...]


_UP = (Word("degraded", "red"), Word("ok", "green"))
_STATES = (Word("closed", "green"), Word("half open", "yellow"), Word("open", "red"))


def rows() -> list[Row]:
    """Return the whole page, from the top."""
    told = [_glance(), _traffic(), _time(), _faults(), _limits(), _load(), _tokens(), _money(), _why(), _server()]
    rest = tuple(_plain(instrument) for instrument in _unseen(told))
    return [*told, Row("More", rest)] if rest else told


def _glance() -> Row:
    opened = f"sum({highest(BREAKER_STATE, _BACKEND, state='open')})"
    failed = f"({rate(FAULTS, kind=NOT_THE_CLIENTS)} or vector(0)) / {rate(REQUESTS)}"
    first = Query(quantile(0.95, FIRST_TOKEN, ("tier",), tier=_SERVED), "{{tier}}")
    shared = (Query(lowest(STORE_UP)),)
    return Row(
        "At a glance",
        (
            Panel("Requests per second", "All that finished.", (Query(rate(REQUESTS)),), "reqps", "stat", 4),
            Panel("Failed requests", _FAILED, (Query(failed),), "percentunit", "stat", 4, alarm=0.05),
            Panel("First token, 95%", "95% of streams began within this time.", (first,), "s", "stat", 4),
            Panel("In flight", IN_FLIGHT.help, (Query(total(IN_FLIGHT)),), "short", "stat", 4),
            Panel(
                "Breakers open",
                "Backends left alone because they failed.",
                (Query(opened),),
                "short",
                "stat",
                4,
                alarm=1,
            ),
            Panel("Store", STORE_UP.help, shared, "short", "stat", 4, words=_UP),
        ),
    )


def _traffic() -> Row:
    return Row(
        "Traffic",
        (
            _counted("Requests by tier", REQUESTS, ("tier",), stacked=True),
            _counted("Requests by backend", REQUESTS, _BACKEND, stacked=True),
            _counted("Requests by status", REQUESTS, ("code",), stacked=True),
        ),
    )


def _time() -> Row:
    rated = Query(quantile(0.5, OUTPUT_RATE, _BACKEND, provider=_SERVED), _legend(_BACKEND))
    return Row(
        "Time",
        (
            _percentiles("First token by tier", FIRST_TOKEN),
            _percentiles("Duration by tier", REQUEST_DURATION),
            _slowest("First token by backend, 95%", FIRST_TOKEN),
            _slowest("Duration by backend, 95%", REQUEST_DURATION),
            Panel("Output rate by backend, median", OUTPUT_RATE.help, (rated,)),
        ),
    )


def _faults() -> Row:
    failed = f"{rate(FAULTS, ('tier',), kind=NOT_THE_CLIENTS)} / {rate(REQUESTS, ('tier',))}"
    good = f"{rate(ATTEMPTS, _BACKEND, outcome='ok')} / {rate(ATTEMPTS, _BACKEND)}"
    # Whatever backend is chosen: a request counts only where it went last, so of one backend the two do not belong together.
    attempts = rate(ATTEMPTS, ("tier",), provider="=~.*", model="=~.*")
    requests = rate(REQUESTS, ("tier",), provider=f"!={NONE}", model="=~.*")
    again = f"clamp_min(({attempts} - {requests}) / {requests}, 0)"  # rates of new series begin a little late
    return Row(
        "Faults and fallbacks",
        (
            _counted("Requests that failed, by kind", FAULTS, ("kind",), stacked=True),
            _counted("Attempts by outcome", ATTEMPTS, (*_BACKEND, "outcome")),
            _ratio("Attempts that went well", "Of all at a backend; fallbacks hide the rest.", good, _legend(_BACKEND)),
            _ratio(
                "Fallbacks", "Attempts after the first, for each request that reached a backend.", again, "{{tier}}"
            ),
            _ratio("Failed requests by tier", _FAILED, failed, "{{tier}}"),
        ),
    )


def _limits() -> Row:
    used = f"{highest(LIMIT_USED, _POOL)} / {highest(LIMIT, _POOL)}"
    left = Query(lowest(LIMIT_LEFT, _POOL), _legend(_POOL))
    opened, probing = (highest(BREAKER_STATE, _BACKEND, state=state) for state in ("open", "half_open"))
    state = Query(f"2 * {opened} + {probing}", _legend(_BACKEND))
    return Row(
        "Limits and breakers",
        (
            _ratio("Limits used", "Of each limit; those who share a store say the same.", used, _legend(_POOL)),
            Panel("Limits left", LIMIT_LEFT.help, (left,)),
            _counted("Passed over because of a limit", LIMIT_REFUSED, _POOL),
            Panel("Breakers", "Open: gets no requests.", (state,), kind="state-timeline", width=24, words=_STATES),
        ),
    )


def _load() -> Row:
    tier = ("tier",)
    crowd = (
        Query(total(TIER_IN_FLIGHT, tier), "{{tier}} served"),
        Query(total(TIER_WAITING, tier), "{{tier}} in line"),
    )
    doors = (Query(total(IN_FLIGHT), "requests"), Query(total(CONNECTIONS), "connections"))
    return Row(
        "Load",
        (
            Panel("In flight by tier", TIER_IN_FLIGHT.help, crowd),
            _counted("Turned away for lack of room", TIER_REFUSED, tier),
            Panel("In flight", "All requests being served and client connections open.", doors),
        ),
    )


def _tokens() -> Row:
    return Row(
        "Tokens",
        (
            _counted("Tokens per second by type", TOKENS, ("type",)),
            _counted("Input tokens by backend", TOKENS, _BACKEND, stacked=True, type="input"),
            _counted("Output tokens by backend", TOKENS, _BACKEND, stacked=True, type="output"),
        ),
    )


def _money() -> Row:
    by_arm = Query(rate(COST, ("tier", "model", "arm")) + " * 3600", "{{tier}} {{model}} {{arm}}")
    by_key = Query(rate(KEY_COST, ("key_name",)) + " * 3600", "{{key_name}}")
    return Row(
        "Money",
        (
            Panel("US dollars per hour by tier, model and arm", COST.help, (by_arm,), "currencyUSD", stacked=True),
            Panel("US dollars per hour by key", KEY_COST.help, (by_key,), "currencyUSD", stacked=True),
            _counted("Tokens per second by key", KEY_TOKENS, ("key_name", "type")),
            _counted("Attempts without a price", UNPRICED, _BACKEND),
            _counted("Changes of tier within sessions", CACHE_KEPT, ("outcome",)),
            _counted("What auto would have chosen", OBSERVED, ("tier", "auto")),
            Panel("The line between the tiers", LINE.help, (Query(highest(LINE, ("which",)), "{{which}}"),)),
        ),
    )


def _why() -> Row:
    deep = f"({rate(DECISIONS, tier='deep')} or vector(0)) / {rate(DECISIONS, tier='=~.*')}"
    shown = Query(f"sort_desc(sum by (tier, rule) (increase({select(DECISIONS)}[$__range])))", "{{tier}}: {{rule}}")
    return Row(
        "Why",
        (
            _counted("Decisions by tier and rule", DECISIONS, ("tier", "rule"), stacked=True),
            _ratio("Share that went deep", "Of all that were given a tier.", deep, "deep"),
            Panel("Decisions in the time shown", DECISIONS.help, (shown,), kind="table"),
        ),
    )


def _server() -> Row:
    memory, workers = (Query(total(of, ("instance",)), _EACH) for of in (MEMORY, WORKERS))
    sent = Query(rate(EXPORTED, ("signal",)), "{{signal}} sent")
    lost = Query(rate(DROPPED, ("signal",)), "{{signal}} lost")
    store = Query(lowest(STORE_UP, ("instance", "store")), "{{instance}} {{store}}")
    since = Query(f"time() - {lowest(STARTED, ('instance',))}", _EACH)
    runs = [Query(f"count by (instance, version) ({select(of)})", f"{_EACH} {{{{version}}}}") for of in (BUILD, CONFIG)]
    return Row(
        "Server",
        (
            Panel("Memory", MEMORY.help, (memory,), "bytes"),
            _counted("Processor cores in use", CPU, ("instance",)),
            Panel("Store", STORE_UP.help, (store,)),
            Panel("Telemetry per second", DROPPED.help, (sent, lost)),
            _counted("Reloads", RELOADS, ("outcome",)),
            Panel("Workers", WORKERS.help, (workers,)),
            Panel("Up for", "Since the oldest worker started.", (since,), "s"),
            Panel("Versions of program and configuration", "By instance.", tuple(runs), kind="table"),
        ),
    )


def _counted(title: str, of: Instrument, by: tuple[str, ...], stacked: bool = False, **where: str) -> Panel:
    unit = {"{request}": "reqps", "{attempt}": "reqps"}.get(of.unit, "short")
    return Panel(title, of.help, (Query(rate(of, by, **where), _legend(by)),), unit, stacked=stacked)


def _ratio(title: str, told: str, expr: str, legend: str) -> Panel:
    return Panel(title, told, (Query(expr, legend),), "percentunit")


def _percentiles(title: str, of: Instrument) -> Panel:
    queries = tuple(Query(quantile(q, of, ("tier",), tier=_SERVED), f"{{{{tier}}}} {q:.0%}") for q in PERCENTILES)
    return Panel(title, of.help, queries, "s", width=12)


def _slowest(title: str, of: Instrument) -> Panel:
    return Panel(title, of.help, (Query(quantile(0.95, of, _BACKEND, provider=_SERVED), _legend(_BACKEND)),), "s")


def _plain(of: Instrument) -> Panel:
    ask = {"counter": rate, "gauge": total, "info": total}.get(of.kind)
    expr = ask(of, of.labels) if ask else quantile(0.95, of, of.labels)
    return Panel(of.name, of.help, (Query(expr, _legend(of.labels)),))


def _unseen(told: Sequence[Row]) -> Iterator[Instrument]:
    text = " ".join(query.expr for row in told for panel in row.panels for query in panel.queries)
    return (
        of for of in INSTRUMENTS if of.wide and f"{of.sample}{{" not in text and f"{of.sample}_bucket{{" not in text
    )


def _legend(by: tuple[str, ...]) -> str:
    """Name a line by its labels, a backend as everywhere else.

    >>> _legend(("provider", "model", "region", "outcome"))
    '{{provider}}/{{model}}@{{region}} {{outcome}}'
    """
    rest = [f"{{{{{label}}}}}" for label in by if label not in _BACKEND]
    whole = ["{{provider}}/{{model}}@{{region}}"] if set(_BACKEND) <= set(by) else []
    return " ".join([*whole, *rest])
