"""What the samples of `overhead.py` come to: medians with their range, ratios to nginx, and how the bars are met."""

import contextlib
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Sample = Mapping[str, Any]
Figure = Callable[[Sample], float]
COLUMNS = ("first landing", "all features", "goal")
NONE = "-"


class Samples:
    """All samples of a run, by scenario, target and round."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self.all = list(samples)

    def by_round(self, scenario: str, target: str, figure: Figure) -> dict[int, float]:
        """One figure of one target, by round."""
        found = [sample for sample in self.all if (sample["scenario"], sample["target"]) == (scenario, target)]
        return {sample["round"]: figure(sample) for sample in found}


@dataclass(frozen=True)
class Bar:
    """One row: a figure of one target, compared with the same of another by `how`, and what it should be.

    `judged`: what the bars are about: the figure itself ("is") or what `how` makes of it ("compared"). `bars`: one for
    each of COLUMNS, None where there is none. `more`: more is better.
    """

    name: str
    scenario: str
    figure: Figure
    bars: tuple[float | None, ...]
    target: str = "twospeed"
    beside: str = "nginx"
    how: Callable[[float, float], float] = lambda own, other: own / other
    judged: str = "compared"
    more: bool = False


def per_request(sample: Sample) -> float:
    """CPU time of the proxy per request, us."""
    return float(sample["cpu_us"]) / max(1, sample["done"])


def per_event(sample: Sample) -> float:
    """CPU time of the proxy per event, us."""
    return float(sample["cpu_us"]) / max(1, sample["events"])


def events_per_second(sample: Sample) -> float:
    """Events that reached the clients, in thousands a second."""
    return float(sample["events"]) / float(sample["seconds"]) / 1e3


def named(key: str, scale: float = 1.0) -> Figure:
    """A figure as it was sampled."""
    return lambda sample: float(sample[key]) * scale


def more_than(own: float, other: float) -> float:
    """What is added."""
    return own - other


def workers_worth(two: float, one: float) -> float:
    """How many times as much two workers do with both cores as one does with one."""
    return 2 * one / two


BARS = (
    Bar("CPU per request, 2 KB, us; ratio to nginx", "cpu-2k", per_request, (4.5, 4.0, 2.5)),
    Bar("CPU per request, 30 KB, us; ratio to nginx", "cpu-30k", per_request, (5.5, 5.0, 3.0)),
    Bar("CPU per request, 200 KB, us; ratio to nginx", "cpu-200k", per_request, (1.6, 1.5, 1.0)),
    Bar("CPU per request, 2 KB, us", "cpu-2k", per_request, (73, 65, 40), judged="is"),
    Bar("CPU per request, 30 KB, us", "cpu-30k", per_request, (100, 90, 54), judged="is"),
    Bar("CPU per request, 200 KB, us", "cpu-200k", per_request, (240, 220, 150), judged="is"),
    Bar("with Redis limits, 2 KB, us; ratio to nginx", "cpu-2k", per_request, (6.0, 5.0, 3.5), "redis"),
    Bar("`model: auto`, 2 KB, us; more than pinned", "cpu-2k", per_request, (40, 40, 40), "auto", "twospeed", more_than),
    Bar("`model: auto`, 30 KB, us; more than pinned", "cpu-30k", per_request, (40, 40, 40), "auto", "twospeed", more_than),
    Bar("`model: auto`, 200 KB, us; more than pinned", "cpu-200k", per_request, (40, 40, 40), "auto", "twospeed", more_than),
    Bar("p50 at 100/s, us; added to direct", "lat-100", named("whole_p50"), (500, 400, 250), beside="direct", how=more_than),
    Bar("p99 at 100/s, us; added to direct", "lat-100", named("whole_p99"), (None, None, None), beside="direct", how=more_than),
    Bar("p50 at half of capacity, us; added to direct", "lat-half", named("whole_p50"), (200, 150, 80), beside="direct", how=more_than),
    Bar("p99 at half of capacity, us; added to direct", "lat-half", named("whole_p99"), (None, None, None), beside="direct", how=more_than),
    Bar("first token p50, us; added to direct", "first-token", named("first_p50"), (350, 300, 200), beside="direct", how=more_than),
    Bar("first token p99, us; added to direct", "first-token", named("first_p99"), (1000, 800, 400), beside="direct", how=more_than),
    Bar("CPU per event at 2,000/s, us; ratio to nginx", "events-2k", per_event, (1.4, 1.3, 1.1)),
    Bar("events/s, 100 streams at once, thousands", "burst-100", events_per_second, (500, 1000, 2000), judged="is", more=True),
    Bar("memory per open stream, KiB of PSS", "memory", named("kib_per_stream"), (24, 16, 8), judged="is"),
    Bar("idle RSS, MiB", "start", named("rss_mib"), (100, 90, 60), judged="is"),
    Bar("start to first answer, s", "start", named("first_answer_s"), (1.0, 0.8, 0.4), judged="is"),
    Bar("two workers, 2 KB, us; worth of one, per CPU", "cpu-2k", per_request, (None, 1.9, 2.0), "workers", "twospeed", workers_worth, more=True),
)  # fmt: skip


def bars_table(samples: Samples) -> list[str]:
    """Every bar beside its result."""
    lines = [
        f"| figure | twospeed | beside | compared | {' | '.join(COLUMNS)} |",
        "|---|---|---|---|" + "---|" * len(COLUMNS),
    ]
    for bar in BARS:
        own = samples.by_round(bar.scenario, bar.target, bar.figure)
        if own:
            lines.append(_bar_row(bar, own, samples.by_round(bar.scenario, bar.beside, bar.figure)))
    return lines


def _bar_row(bar: Bar, own: Mapping[int, float], other: Mapping[int, float]) -> str:
    compared = [bar.how(own[at], other[at]) for at in own.keys() & other.keys()]
    judged = list(own.values()) if bar.judged == "is" else compared
    beside = f"{bar.beside} {spread(other.values())}" if other else NONE
    cells = [bar.name, spread(own.values()), beside, spread(compared), *(_verdict(judged, at, bar) for at in bar.bars)]
    return f"| {' | '.join(cells)} |"


def _verdict(judged: Sequence[float], at: float | None, bar: Bar) -> str:
    if at is None:
        return NONE
    if not judged:
        return f"{at:g}"
    median = statistics.median(judged)
    return f"{at:g} {'met' if (median >= at if bar.more else median <= at) else '**missed**'}"


def spread(values: Iterable[float]) -> str:
    """Write a median with its range.

    >>> spread([1.0, 2.0, 4.0]), spread([3.0]), spread([])
    ('2.00 (1.00-4.00)', '3.00', '-')
    """
    known = sorted(values)
    if not known:
        return NONE
    median = short(statistics.median(known))
    return median if len(known) == 1 else f"{median} ({short(known[0])}-{short(known[-1])})"


def short(number: float) -> str:
    """Write a number in about three digits."""
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.1f}" if abs(number) >= 10 else f"{number:.2f}"


SHOWN: tuple[tuple[str, str, Figure], ...] = (  # scenarios, column, figure
    ("cpu-", "CPU us/request", per_request),
    ("cpu-", "requests/s", lambda sample: sample["done"] / sample["seconds"]),
    ("lat-", "p50 us", named("whole_p50")),
    ("lat-", "p99 us", named("whole_p99")),
    ("first-token", "first token p50 us", named("first_p50")),
    ("first-token", "first token p99 us", named("first_p99")),
    ("events-2k", "CPU us/event", per_event),
    ("burst-100", "events/s, thousands", events_per_second),
    ("memory", "KiB/stream", named("kib_per_stream")),
    ("start", "idle RSS MiB", named("rss_mib")),
    ("start", "first answer s", named("first_answer_s")),
)


def samples_table(samples: Samples) -> list[str]:
    """Everything that was sampled."""
    lines = ["| scenario | target | figures: median (least-most) | waited | bad |", "|---|---|---|---|---|"]
    for scenario, target in dict.fromkeys((sample["scenario"], sample["target"]) for sample in samples.all):
        shown = [(column, figure) for prefix, column, figure in SHOWN if scenario.startswith(prefix)]
        figures = (
            f"{column} {spread(values)}"
            for column, figure in shown
            if (values := _defined(samples, scenario, target, figure))
        )
        bad = sum(samples.by_round(scenario, target, trouble).values())
        waited = [f"{share:.0%}" for share in sorted(_defined(samples, scenario, target, named("waited")))]
        lines.append(f"| {scenario} | {target} | {' · '.join(figures)} | {' '.join(waited) or NONE} | {bad:.0f} |")
    return lines


def brief(sample: Sample) -> str:
    """Write one sample on one line."""
    shown = [(column, figure) for prefix, column, figure in SHOWN if sample["scenario"].startswith(prefix)]
    figures = []
    for column, figure in shown:
        with contextlib.suppress(KeyError):
            figures.append(f"{column} {short(figure(sample))}")
    return f"{sample['round']} {sample['scenario']:12} {sample['target']:9} {' · '.join(figures)}"


def trouble(sample: Sample) -> float:
    """Requests without a good answer: refused, cut off, or due and not answered in time."""
    return float(sample.get("bad", 0) + sample.get("cut", 0) + sample.get("late", 0))


def _defined(samples: Samples, scenario: str, target: str, figure: Figure) -> list[float]:
    try:
        return list(samples.by_round(scenario, target, figure).values())
    except KeyError:  # a target without a process has no CPU time
        return []
