"""docs/metrics.md: the table of instruments for people. `make docs` writes it; a test says when it is stale."""

from collections.abc import Iterator

from twospeed.telemetry.conventions import OPT_IN, OPT_IN_VARIABLE, SEMCONV
from twospeed.telemetry.instruments import INSTRUMENTS, OTHER, Instrument

_INTRODUCTION = f"""# Metrics

Generated from the code by `make docs`: do not edit.

- **Scraped** from `/metrics` on the admin listener, in the Prometheus text format or, where the scraper asks for it, as
  OpenMetrics with exemplars: an exemplar's `trace_id` is always that of a trace that was kept.
- **Pushed** over OTLP to `telemetry.metrics.endpoint`, under the names in the second column, with the labels as attributes
  of the conventions. Prometheus names are made of these as an OpenTelemetry collector makes them.
- With several workers `/metrics` tells the sum over all of them, and what they share (limits, breakers) once; over OTLP
  each tells its own, as an instance of its own.
- A process makes at most 2,000 series. Labels come from the configuration only, never from requests; what there is no room
  for is counted under `{OTHER}`.
- Conventions: OpenTelemetry {SEMCONV}. With `{OPT_IN_VARIABLE}={OPT_IN}` the GenAI metrics are also sent
  under their newer, unreleased names.
"""


def document() -> str:
    """Return the text of docs/metrics.md."""
    wide = [instrument for instrument in INSTRUMENTS if instrument.wide]
    narrow = [instrument for instrument in INSTRUMENTS if not instrument.wide]
    parts = [
        _INTRODUCTION,
        "## On `/metrics` and over OTLP",
        "",
        *_table(wide),
        "",
        "## Over OTLP only",
        "",
        *_table(narrow),
    ]
    return "\n".join(parts) + "\n"


def _table(instruments: list[Instrument]) -> Iterator[str]:
    yield "| Prometheus | OTLP | kind | unit | labels | meaning |"
    yield "|---|---|---|---|---|---|"
    for of in instruments:
        labels = ", ".join(f"`{label}`" for label in of.labels)
        meaning = f"{of.help} Buckets: {', '.join(f'{bound:g}' for bound in of.bounds)}." if of.bounds else of.help
        prometheus = f"`{of.sample}`" if of.wide else ""
        yield f"| {prometheus} | `{of.name}` | {of.kind} | `{of.unit}` | {labels} | {meaning} |"
