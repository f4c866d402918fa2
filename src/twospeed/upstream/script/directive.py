"""The request header that tells a simulated provider how to behave this once.

    x-twospeed-simulate: stall:3@sim-fast, http_429:2, tokens:500, first:2s

Each order is `name[:value][@provider]`; those for another provider are ignored. A fault named here wins over the
configured shares; the first that is meant for this provider counts.
"""

from typing import Any

import msgspec
from pydantic import ValidationError

from twospeed.units import duration
from twospeed.upstream.script.settings import FaultKind, FaultRule

HEADER = b"x-twospeed-simulate"
RETRY_LATER = (FaultKind.HTTP_429, FaultKind.HTTP_503, FaultKind.HTTP_529)
WITH_STATUS = (FaultKind.HTTP, FaultKind.HTML)
WITH_EVENTS = (
    FaultKind.STALL,
    FaultKind.RESET,
    FaultKind.TRUNCATE,
    FaultKind.UNFINISHED,
    FaultKind.MALFORMED,
    FaultKind.BAD_CHUNK,
    FaultKind.ERROR_EVENT,
)


class Directives(msgspec.Struct):
    """What one request asks for; None: as configured. `first_token` in seconds, `speed` in tokens per second."""

    fault: FaultRule | None = None
    tokens: int | None = None
    reasoning: int = 0
    first_token: float | None = None
    speed: float | None = None


def parse(text: str, provider: str) -> Directives:
    """Read the header's value.

    Raises:
        ValueError: An order is not known or its value does not fit; the message names it.

    >>> parse("http_429:2@b, stall:4@a, first:20ms", "a").fault.after_events
    4
    """
    directives = Directives()
    for order in filter(None, (part.strip() for part in text.split(","))):
        order, _, meant = order.partition("@")
        if meant and meant != provider:
            continue
        name, _, value = order.partition(":")
        try:
            _apply(directives, name, value)
        except (ValueError, ValidationError) as error:
            raise ValueError(f"x-twospeed-simulate: cannot read {order!r}") from error
    return directives


def _apply(directives: Directives, name: str, value: str) -> None:
    if name in ("tokens", "reasoning"):
        setattr(directives, name, min(int(value), 1_000_000))
    elif name == "first":
        directives.first_token = _seconds(value)
    elif name == "speed":
        directives.speed = max(float(value), 0.001)
    else:
        rule = _rule(FaultKind(name), value)
        directives.fault = directives.fault or rule


def _rule(kind: FaultKind, value: str) -> FaultRule:
    fields: dict[str, Any] = {"kind": kind}
    if value and kind in WITH_EVENTS:
        fields["after_events"] = int(value)
    elif value and kind in WITH_STATUS:
        fields["status"] = int(value)
    elif value and kind in RETRY_LATER:
        fields["retry_after"] = _written(value)
    elif value:
        fields["delay"] = _written(value)
    if kind is FaultKind.SLOW and not value:
        fields["delay"] = "5s"
    return FaultRule(**fields)


def _written(value: str) -> str:
    return f"{value}s" if value.replace(".", "", 1).isdecimal() else value


def _seconds(value: str) -> float:
    return duration(_written(value))
