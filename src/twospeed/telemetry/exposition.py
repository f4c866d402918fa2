"""A snapshot as text for a scraper: OpenMetrics where it asks for it, with exemplars, else the Prometheus text format.

Source: OpenMetrics 1.0; Prometheus exposition formats 0.0.4.
"""

import math
from collections.abc import Iterable, Iterator
from itertools import accumulate

from twospeed.telemetry.instruments import INSTRUMENTS, Instrument
from twospeed.telemetry.snapshot import Distribution, Exemplar, Point, Snapshot

OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
_TEXT = ("text/plain", "text/*", "*/*")


def render(snapshot: Snapshot, accept: str) -> tuple[str, bytes]:
    """Render a snapshot.

    Args:
        accept: The scraper's Accept header, "" when it sent none.

    Returns: Content type and body.
    """
    open_metrics = wants_open_metrics(accept)
    lines: list[str] = []
    for instrument in INSTRUMENTS:
        points = snapshot.get(instrument.name)
        if points and instrument.wide:
            lines += _family(instrument, points, open_metrics)
    if open_metrics:
        lines.append("# EOF")
    return OPEN_METRICS if open_metrics else PROMETHEUS, ("\n".join(lines) + "\n").encode()


def wants_open_metrics(accept: str) -> bool:
    """Say whether a scraper would rather have OpenMetrics than plain text.

    >>> wants_open_metrics("application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3,*/*;q=0.2")
    True
    >>> wants_open_metrics("*/*"), wants_open_metrics("application/openmetrics-text;q=0")
    (False, False)
    """
    weights: dict[str, float] = {}
    for choice in accept.lower().split(","):
        kind, *parameters = (part.strip() for part in choice.split(";"))
        weights[kind] = max(weights.get(kind, 0.0), _weight(parameters))
    wanted = weights.get("application/openmetrics-text", 0.0)
    return wanted > 0 and wanted >= max(weights.get(kind, 0.0) for kind in _TEXT[:2])


def _weight(parameters: Iterable[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 0.0
    return 1.0


def _family(of: Instrument, points: Iterable[Point], open_metrics: bool) -> Iterator[str]:
    """Write one instrument; the two formats differ in where `_total` and `_info` belong, in UNIT and in exemplars."""
    sample = of.sample
    name, kind = (of.family, of.kind) if open_metrics else (sample, "gauge" if of.kind == "info" else of.kind)
    yield f"# TYPE {name} {kind}"
    if open_metrics and of.unit_word:
        yield f"# UNIT {name} {of.unit_word}"
    yield f"# HELP {name} {_escaped(of.help)}"
    for point in points:
        labels = [f'{label}="{_escaped(value)}"' for label, value in zip(of.labels, point.labels, strict=True)]
        if point.spread is None:
            yield f"{sample}{_braced(labels)} {_number(point.value)}"
        else:
            yield from _histogram(of, labels, point.spread, open_metrics)


def _histogram(of: Instrument, labels: list[str], spread: Distribution, open_metrics: bool) -> Iterator[str]:
    bounds = [*map(_number, map(float, of.bounds)), "+Inf"]
    counts = list(accumulate(spread.counts))
    for bucket, (bound, count) in enumerate(zip(bounds, counts, strict=True)):
        exemplar = spread.exemplars.get(bucket) if open_metrics else None
        braces = _braced([*labels, f'le="{bound}"'])
        yield f"{of.family}_bucket{braces} {count}{_exemplar(exemplar) if exemplar else ''}"
    yield f"{of.family}_count{_braced(labels)} {counts[-1]}"
    yield f"{of.family}_sum{_braced(labels)} {_number(spread.sum)}"


def _exemplar(of: Exemplar) -> str:
    return f' # {{trace_id="{of.trace}",span_id="{of.span}"}} {_number(of.value)} {of.at:.3f}'


def _braced(labels: list[str]) -> str:
    return "{" + ",".join(labels) + "}" if labels else ""


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    if value == math.inf:
        return "+Inf"
    return str(value) if isinstance(value, int) else repr(float(value))
