"""Everyone who is told of finished requests, in one place: log, metrics, traces, and what is pushed to a collector.

Built with the first configuration and kept over reloads, because counters only make sense when they go on. What a reload
changes (where providers are) is handed on; another collector takes a restart.
"""

import asyncio
import logging
import sys
from collections.abc import Iterator

from twospeed.config import Loaded
from twospeed.telemetry import Signal
from twospeed.telemetry.conventions import OPT_IN, Place, place
from twospeed.telemetry.instruments import DROPPED, EXPORTED
from twospeed.telemetry.lines import RequestLog, json_line, text_line
from twospeed.telemetry.metrics import Metrics, Reading
from twospeed.telemetry.push import Pusher
from twospeed.telemetry.trace import Traces
from twospeed.telemetry.watches import process
from twospeed.types import Sink
from twospeed.upstream import SimulatedProvider

PIECE = 2_000  # characters, far below the 4,096 bytes (PIPE_BUF) that Linux writes to a pipe in one piece
log = logging.getLogger("twospeed")


class Reporting:
    """The sinks of one process. `start` begins to send, `close` ends it. `asides`: those that hear of copies, too.

    Args:
        loaded: The configuration to begin with.
        log_format: text, json or off.
    """

    def __init__(self, loaded: Loaded, log_format: str) -> None:
        self.lines = request_log(log_format)
        self.metrics = Metrics(operations="metrics" in loaded.collectors)
        self.metrics.watch(process())
        self.metrics.watch(self._watch)
        self.traces: Traces | None = None
        self.pusher: Pusher | None = None
        self._loaded = loaded
        self.sinks: list[Sink] = [self.lines, self.metrics] if self.lines else [self.metrics]
        self.asides: list[Sink] = []

    def start(self) -> None:
        """Begin to send to the collectors there are. Does not wait for them."""
        loaded, known = self._loaded, places(self._loaded)
        traces, metrics = loaded.collectors.get("traces"), loaded.collectors.get("metrics")
        if traces:
            self.traces = Traces(traces, known, loaded.config.telemetry.traces.queue)
            self.sinks.append(self.traces)
            self.asides.append(self.traces)
        if metrics:
            self.pusher = Pusher(metrics, known, OPT_IN in loaded.conventions)

    def reloaded(self, loaded: Loaded) -> None:
        """Take over what a new configuration says about providers."""
        known = places(loaded)
        for sender in (self.traces, self.pusher):
            if sender is not None:
                sender.places = known
        if loaded.collectors != self._loaded.collectors:
            log.warning("telemetry goes where it went before: another collector takes a restart")

    async def run(self) -> None:
        """Send metrics, again and again, until cancelled. Returns at once without a collector."""
        while self.pusher is not None:
            await asyncio.sleep(self._loaded.config.telemetry.metrics.interval)
            self.pusher.offer(self.metrics.snapshot())

    async def close(self, timeout: float) -> None:
        """Send what is left, for at most `timeout` seconds."""
        if self.lines:
            self.lines.flush()
        ending = []
        if self.traces is not None:
            ending.append(asyncio.to_thread(self.traces.close, timeout))
        if self.pusher is not None:
            self.pusher.offer(self.metrics.snapshot())
            ending.append(asyncio.to_thread(self.pusher.close, timeout))
        await asyncio.gather(*ending)

    def signals(self) -> dict[Signal, dict[str, int]]:
        """Count what each collector took and what was dropped."""
        senders: dict[Signal, Traces | Pusher | None] = {"traces": self.traces, "metrics": self.pusher}
        return {
            signal: {"exported": sender.exported, "dropped": sender.dropped}
            for signal, sender in senders.items()
            if sender is not None
        }

    def _watch(self) -> Iterator[Reading]:
        for signal, counts in self.signals().items():
            yield Reading(EXPORTED, (signal,), counts["exported"])
            yield Reading(DROPPED, (signal,), counts["dropped"])
        if self.lines:
            yield Reading(DROPPED, ("log",), self.lines.dropped)


def request_log(form: str) -> RequestLog | None:
    """Build the request log on standard error, None when it is off."""
    if form == "off":
        return None
    return RequestLog(json_line if form == "json" else text_line, whole_lines)


def whole_lines(text: str) -> None:
    """Write lines in pieces that a pipe takes whole, so that those of several workers never mix."""
    piece = ""
    for line in text.splitlines(keepends=True):
        if piece and len(piece) + len(line) > PIECE:
            sys.stderr.write(piece)
            piece = ""
        piece += line
    sys.stderr.write(piece)


def places(loaded: Loaded) -> dict[str, Place]:
    """Say where each provider is."""
    return {
        name: place(name, "" if isinstance(provider, SimulatedProvider) else provider.base_url)
        for name, provider in loaded.providers.items()
    }
