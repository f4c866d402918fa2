"""All metrics at one instant, as plain data: made in one process, sent to another, added up.

msgspec encodes and decodes a Snapshot as it stands, for example `msgspec.msgpack.decode(data, type=Snapshot)`.
"""

from collections.abc import Callable, Iterable
from operator import add

import msgspec

from twospeed.telemetry.instruments import BY_NAME, Instrument


class Exemplar(msgspec.Struct, frozen=True, gc=False):
    """One value that stands for its bucket, with the trace it came from. `at`: seconds since the epoch."""

    trace: str
    span: str
    value: float
    at: float


class Distribution(msgspec.Struct):
    """A histogram. `counts`: per bucket, not cumulative, the last beyond every bound. `exemplars`: by bucket."""

    counts: list[int]
    sum: float = 0.0
    exemplars: dict[int, Exemplar] = {}


class Point(msgspec.Struct, frozen=True):
    """One value of an instrument; labels in its order. `spread` for histograms, `value` for all others."""

    labels: tuple[str, ...]
    value: float = 0.0
    spread: Distribution | None = None


Snapshot = dict[str, list[Point]]  # by the name of the instrument
_COMBINE: dict[str, Callable[[float, float], float]] = {"sum": add, "max": max, "min": min}


def empty(bounds: tuple[float, ...]) -> Distribution:
    """Return a histogram of nothing."""
    return Distribution([0] * (len(bounds) + 1))


def merge(snapshots: Iterable[Snapshot]) -> Snapshot:
    """Add up the snapshots of several workers; each instrument says how its values become one."""
    merged: dict[str, dict[tuple[str, ...], Point]] = {}
    for snapshot in snapshots:
        for name, points in snapshot.items():
            known = merged.setdefault(name, {})
            for point in points:
                before = known.get(point.labels)
                known[point.labels] = _added(BY_NAME[name], before, point) if before else point
    return {name: list(points.values()) for name, points in merged.items()}


def _added(of: Instrument, one: Point, other: Point) -> Point:
    if one.spread is not None and other.spread is not None:
        return Point(one.labels, spread=together(one.spread, other.spread))
    return Point(one.labels, _COMBINE[of.merge](one.value, other.value))


def together(one: Distribution, other: Distribution) -> Distribution:
    """Add two histograms of the same bounds; of two exemplars the later one stays."""
    exemplars = dict(one.exemplars)
    for bucket, exemplar in other.exemplars.items():
        if bucket not in exemplars or exemplars[bucket].at < exemplar.at:
            exemplars[bucket] = exemplar
    counts = [a + b for a, b in zip(one.counts, other.counts, strict=True)]
    return Distribution(counts, one.sum + other.sum, exemplars)


def copied(spread: Distribution) -> Distribution:
    """Return a histogram that later counting does not change."""
    return Distribution(list(spread.counts), spread.sum, dict(spread.exemplars))


def counted(snapshot: Snapshot) -> Snapshot:
    """Return what stays true of a process that has ended: what it counted, not how it stood."""
    return {name: points for name, points in snapshot.items() if BY_NAME[name].kind in ("counter", "histogram")}
