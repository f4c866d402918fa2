"""What a load test says: a line a second while it runs, then a table and a histogram, or the same as JSON."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from twospeed.drill.bench import Load
from twospeed.drill.bench_tally import Spread, Tally

QUANTILES = (0.5, 0.9, 0.99, 0.999)
_EDGES = (1.0, 2.0, 5.0)  # of the histogram, in each power of ten
_WIDTH = 50  # columns of its longest bar
_MOST = 12  # rows of backends and errors shown


def progress(elapsed: float, before: float, tally: Tally) -> str:
    """Say how it goes; `before`: the `elapsed` of the last line. The times are those of the answers since."""
    recent = tally.recent
    rate = recent.count / max(elapsed - before, 1e-9)
    return (
        f"{elapsed:5.0f}s  sent {tally.due:,}  ok {tally.ok:,}  errors {tally.failed:,}  open {tally.pending:,}  "
        f"{rate:,.0f}/s  p50 {written(recent.quantile(0.5))}  p99 {written(recent.quantile(0.99))}"
    )


def table(load: Load, tally: Tally, elapsed: float) -> str:
    """Show everything on one screen."""
    sections = [_head(load), _sums(tally, elapsed), _times(tally)]
    sections += [_counts(name, counts) for name, counts in _counted(tally) if counts]
    everything = _answers(tally)
    if everything.count:
        sections.append(["time of good answers", *histogram(everything)])
    return "\n\n".join("\n".join(section) for section in sections)


def as_json(load: Load, tally: Tally, elapsed: float) -> dict[str, Any]:
    """Show the same for machines; times are milliseconds."""
    return {
        "url": load.url + load.path,
        "model": load.model,
        "rate": load.rate,
        "duration_s": load.duration,
        "elapsed_s": round(elapsed, 3),
        "streams": load.streams,
        "seed": load.seed,
        "sent": tally.due,
        "ok": tally.ok,
        "failed": tally.failed,
        "abandoned": tally.pending,
        "truncated": tally.truncated,
        "events": tally.events,
        "events_per_s": round(tally.events / max(elapsed, 1e-9), 1),
        "answers_per_s": round(tally.ok / max(elapsed, 1e-9), 1),
        **{f"{name.replace(' ', '_')}_ms": _spread_as_json(spread) for name, spread in _spreads(tally).items()},
        **{name: dict(counts) for name, counts in _counted(tally)},
    }


def histogram(spread: Spread) -> list[str]:
    """Draw a distribution, one line for each step of 1, 2, 5, 10, ...

    >>> spread = Spread()
    >>> spread.add(0.0015, times=3); spread.add(0.004)
    >>> [line.rstrip("█") for line in histogram(spread)]
    ['     1ms ..     2ms    75.0%          3  ', '     2ms ..     5ms    25.0%          1  ']
    """
    steps: dict[int, int] = {}
    for seconds, times in spread.items():
        step = _step(seconds)
        steps[step] = steps.get(step, 0) + times
    longest = max(steps.values(), default=0)
    return [
        f"{written(_edge(step)):>8} .. {written(_edge(step + 1)):>7}  {times / spread.count:7.1%} {times:10,}  "
        + "█" * math.ceil(_WIDTH * times / longest)
        for step in range(min(steps), max(steps) + 1)
        for times in [steps.get(step, 0)]
    ]


def written(seconds: float) -> str:
    """Write a duration in three digits.

    >>> written(0.00012345), written(0.25), written(12.3456), written(0.0)
    ('123us', '250ms', '12.3s', '0us')
    """
    for unit, worth in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= 0.9995 * worth:
            return f"{float(f'{seconds / worth:.3g}'):g}{unit}"
    return f"{seconds * 1e6:.0f}us"


def _head(load: Load) -> list[str]:
    bodies = (
        f"{len(load.bodies)} given bodies" if load.bodies else ", ".join(f"{size / 1000:g} KB" for size in load.sizes)
    )
    return [
        f"{load.url}{load.path}  model {load.model or 'as in the bodies'}",
        f"{load.rate:g}/s for {load.duration:g}s (Poisson, seed {load.seed}), {load.streams:.0%} streamed, {bodies}, "
        f"at most {load.concurrency:,} at once",
    ]


def _sums(tally: Tally, elapsed: float) -> list[str]:
    lines = [
        f"sent {tally.due:,}   ok {tally.ok:,}   errors {tally.failed:,}   truncated streams {tally.truncated:,}",
        f"{tally.ok / max(elapsed, 1e-9):,.1f} good answers/s   {tally.events / max(elapsed, 1e-9):,.0f} events/s   "
        f"in {elapsed:.1f}s",
    ]
    return [*lines, f"abandoned {tally.pending:,}, stopped before they were answered"] if tally.pending else lines


def _times(tally: Tally) -> Iterator[str]:
    heads = "".join(f"{'p' + format(share * 100, 'g'):>9}" for share in QUANTILES)
    yield f"{'':14}{'count':>10}{heads}{'most':>9}"
    for name, spread in _spreads(tally).items():
        if spread.count:
            values = "".join(f"{written(spread.quantile(share)):>9}" for share in QUANTILES)
            yield f"{name:14}{spread.count:10,}{values}{written(spread.largest):>9}"


def _counts(name: str, counts: Mapping[str, int]) -> list[str]:
    ranked = sorted(counts.items(), key=lambda item: -item[1])
    lines = [f"  {count:10,}  {key}" for key, count in ranked[:_MOST]]
    rest = sum(count for _, count in ranked[_MOST:])
    return [name, *lines, *([f"  {rest:10,}  others"] if rest else [])]


def _spreads(tally: Tally) -> dict[str, Spread]:
    return {
        "plain": tally.plain,
        "streamed": tally.streamed,
        "first token": tally.first_token,
        "event gap": tally.gaps,
        "sent late": tally.late,
    }


def _counted(tally: Tally) -> list[tuple[str, Mapping[str, int]]]:
    return [("tiers", tally.tiers), ("backends", tally.backends), ("errors", tally.errors)]


def _spread_as_json(spread: Spread) -> dict[str, float]:
    quantiles = {f"p{share * 100:g}": round(spread.quantile(share) * 1e3, 4) for share in QUANTILES}
    return {"count": spread.count, **quantiles, "max": round(spread.largest * 1e3, 4)}


def _answers(tally: Tally) -> Spread:
    both = Spread()
    both.merge(tally.plain)
    both.merge(tally.streamed)
    return both


def _step(seconds: float) -> int:
    """Number the steps of the histogram, 0 from one second on."""
    power = math.floor(math.log10(max(seconds, 1e-6)))
    return power * len(_EDGES) + sum(seconds >= edge * 10.0**power for edge in _EDGES[1:])


def _edge(step: int) -> float:
    power, place = divmod(step, len(_EDGES))
    return _EDGES[place] * 10.0**power
