"""PromQL about our instruments, written from the table of instruments: a name or a label that is not there is refused.

Queries select by `$job`, and by those labels one can choose at the top of the dashboard: `tier="deep"` instead of what
was chosen, `tier="&!=none"` beside it.
"""

from twospeed.telemetry.instruments import Instrument

WINDOW = "$__rate_interval"  # Grafana's: at least four scrapes
CHOICES = ("tier", "provider", "model")  # the labels one can choose from at the top of the page
_OPERATORS = ("=~", "!~", "!=")


def rate(of: Instrument, by: tuple[str, ...] = (), **where: str) -> str:
    """Ask for the increase per second of a counter, summed over all but the labels `by`.

    Args:
        where: Values of labels; one that begins with =~, !~ or != is compared so. A leading & keeps what was chosen.
    """
    return f"sum{_by(by)} (rate({select(of, *by, **where)}[{WINDOW}]))"


def highest(of: Instrument, by: tuple[str, ...] = (), **where: str) -> str:
    """Ask for the highest of what the replicas say of the same thing."""
    return f"max{_by(by)} ({select(of, *by, **where)})"


def lowest(of: Instrument, by: tuple[str, ...] = (), **where: str) -> str:
    """Ask for the lowest of what the replicas say of the same thing."""
    return f"min{_by(by)} ({select(of, *by, **where)})"


def total(of: Instrument, by: tuple[str, ...] = (), **where: str) -> str:
    """Ask for a gauge of all replicas together."""
    return f"sum{_by(by)} ({select(of, *by, **where)})"


def quantile(q: float, of: Instrument, by: tuple[str, ...], **where: str) -> str:
    """Ask below which value the share `q` of a histogram lies."""
    buckets = select(of, *by, **where).replace(of.sample, f"{of.sample}_bucket", 1)
    return f"histogram_quantile({q:g}, sum{_by(('le', *by))} (rate({buckets}[{WINDOW}])))"


def select(of: Instrument, *by: str, **where: str) -> str:
    """Name the series of an instrument.

    Raises: ValueError for a label it does not have; `instance` is the scraper's and every series has it.

    >>> from twospeed.telemetry.instruments import BREAKER_STATE
    >>> select(BREAKER_STATE, "region", state="open", model="=~.*")
    'twospeed_breaker_state{job=~"$job",provider=~"$provider",state="open",model=~".*"}'
    """
    unknown = {*by, *where} - {*of.labels, "instance"}
    if unknown:
        raise ValueError(f"{of.name} has no label {', '.join(sorted(unknown))}")
    matchers = ['job=~"$job"']
    chosen = (label for label in CHOICES if label in of.labels and where.get(label, "&").startswith("&"))
    matchers += [f'{label}=~"${label}"' for label in chosen]
    matchers += [_matcher(label, value) for label, value in where.items()]
    return f"{of.sample}{{{','.join(matchers)}}}"


def _matcher(label: str, value: str) -> str:
    value = value.removeprefix("&")
    operator, text = (value[:2], value[2:]) if value.startswith(_OPERATORS) else ("=", value)
    return f'{label}{operator}"{text}"'


def _by(labels: tuple[str, ...]) -> str:
    return f" by ({', '.join(labels)})" if labels else ""
