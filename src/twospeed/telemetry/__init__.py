"""Telemetry: everyone is told of a finished request from its one record."""

from typing import Literal

from twospeed.types import Settings


class Log(Settings):
    """`telemetry.log`: the request log on standard output, one line per finished request."""

    format: Literal["text", "json", "off"] = "text"
    """text for people, json for machines, off for none. Prompts and answers are in neither."""


class Telemetry(Settings):
    """`telemetry`: who is told of requests."""

    log: Log = Log()
    """The request log."""
