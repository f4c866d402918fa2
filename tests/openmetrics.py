"""A strict reader of both exposition formats, written from the specifications and not from our writer.

It refuses what a scraper might only tolerate: families in pieces, samples without a family, repeated series, buckets
that shrink, a wrong end.
"""

import re
from typing import NamedTuple

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABEL = rf'({NAME})="((?:[^"\\\n]|\\[\\n"])*)"'
_LABELS = rf"\{{(?:{_LABEL.replace('(', '(?:', 1).replace('((?:[', '(?:(?:[')}(?:,(?!\}})|(?=\}})))*\}}"
_VALUE = r"(?:[+-]?(?:\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|Inf)|NaN)"
_SAMPLE = re.compile(rf"({NAME})({_LABELS})? ({_VALUE})( # ({_LABELS}) ({_VALUE}) ({_VALUE}))?")
_SUFFIXES = {
    "counter": ("_total",),
    "gauge": ("",),
    "info": ("_info",),
    "histogram": ("_bucket", "_count", "_sum"),
}


class Sample(NamedTuple):
    """One line. `exemplar`: its labels and value."""

    name: str
    labels: tuple[tuple[str, str], ...]
    value: float
    exemplar: tuple[dict[str, str], float] | None


class Family(NamedTuple):
    """One metric with all its samples."""

    name: str
    kind: str
    unit: str
    help: str
    samples: list[Sample]


def parse(text: str, open_metrics: bool) -> dict[str, Family]:
    """Read an exposition. Raises: AssertionError with the line at fault."""
    assert text.endswith("\n")
    lines = text[:-1].split("\n")
    if open_metrics:
        assert lines.pop() == "# EOF"
    families: dict[str, Family] = {}
    current: dict[str, str] = {}
    for line in lines:
        if line.startswith("# "):
            _, word, name, rest = line.split(" ", 3)
            assert word in ("TYPE", "HELP", "UNIT"), line
            assert re.fullmatch(NAME, name), line
            if current.get("name") != name:
                assert name not in families, f"family in pieces: {line}"
                current = {"name": name}
            assert word not in current, line
            current[word] = rest
            families[name] = Family(name, current.get("TYPE", ""), current.get("UNIT", ""), current.get("HELP", ""), [])
        else:
            families[current["name"]].samples.append(_sample(line, families[current["name"]], open_metrics))
    for family in families.values():
        _check(family, open_metrics)
    return families


def _sample(line: str, family: Family, open_metrics: bool) -> Sample:
    match = _SAMPLE.fullmatch(line)
    assert match, line
    name, labels, value = match[1], match[2] or "", match[3]
    suffixes = _SUFFIXES[family.kind] if open_metrics or family.kind == "histogram" else ("",)
    assert name in [family.name + suffix for suffix in suffixes], f"{line} in {family.name}"
    exemplar = None
    if match[4]:
        assert open_metrics, line
        assert name.endswith(("_bucket", "_total")), line
        carried = dict(_pairs(match[5]))
        assert sum(len(key) + len(text) for key, text in carried.items()) <= 128, line
        exemplar = (carried, float(match[6]))
    pairs = _pairs(labels)
    assert len({key for key, _ in pairs}) == len(pairs), line
    return Sample(name, pairs, float(value), exemplar)


def _pairs(labels: str) -> tuple[tuple[str, str], ...]:
    unescaped = {"\\\\": "\\", "\\n": "\n", '\\"': '"'}
    return tuple(
        (key, re.sub(r"\\.", lambda escape: unescaped[escape[0]], value)) for key, value in re.findall(_LABEL, labels)
    )


def _check(family: Family, open_metrics: bool) -> None:
    assert family.kind in _SUFFIXES, family.name
    assert family.help, family.name
    assert family.samples, family.name
    if family.unit:
        assert open_metrics
        assert family.name.endswith("_" + family.unit), family.name
    if open_metrics:
        assert not family.name.endswith(("_total", "_info", "_bucket", "_count", "_sum", "_created")), family.name
    elif family.kind == "counter":
        assert family.name.endswith("_total"), family.name
    series = [(sample.name, sample.labels) for sample in family.samples]
    assert len(set(series)) == len(series), f"{family.name} repeats a series"
    if family.kind == "counter":
        assert all(sample.value >= 0 for sample in family.samples)
    if family.kind == "histogram":
        _check_histogram(family)


def _check_histogram(family: Family) -> None:
    groups: dict[tuple[tuple[str, str], ...], list[Sample]] = {}
    for sample in family.samples:
        rest = tuple(pair for pair in sample.labels if pair[0] != "le")
        groups.setdefault(rest, []).append(sample)
    for rest, samples in groups.items():
        buckets = [(float(dict(s.labels)["le"]), s) for s in samples if s.name.endswith("_bucket")]
        bounds = [bound for bound, _ in buckets]
        counts = [sample.value for _, sample in buckets]
        assert bounds == sorted(set(bounds)), rest
        assert bounds[-1] == float("inf"), rest
        assert counts == sorted(counts), rest
        assert [s.value for s in samples if s.name.endswith("_count")] == [counts[-1]], rest
        assert sum(s.name.endswith("_sum") for s in samples) == 1, rest
        lower = float("-inf")
        for bound, sample in buckets:
            if sample.exemplar:
                assert lower < sample.exemplar[1] <= bound, sample
            lower = bound
