"""Metrics over OTLP: snapshots for a thread which sends them away, in the words of OpenTelemetry.

    Metrics.snapshot -> Pusher (the latest one waits) -> thread: data points -> OTLP/HTTP

Everything is cumulative since the process began, so a snapshot that a younger one replaces is no loss. The thread is
owned by Pusher, which starts it and joins it in `close`; nobody else waits for the collector.
"""

import threading
from collections.abc import Mapping
from time import time_ns

from twospeed.telemetry import Collector
from twospeed.telemetry.conventions import Place
from twospeed.telemetry.snapshot import Snapshot


class Pusher:
    """Sends metrics to one collector.

    Args:
        to: The collector.
        places: Where each provider is, by its name; may be replaced at any time.
        latest: Add the names that the GenAI conventions have not released yet.
    """

    def __init__(self, to: Collector, places: Mapping[str, Place], latest: bool = False) -> None:
        self.places = places
        self.exported = 0
        self.dropped = 0
        self._to = to
        self._latest = latest
        self._began = time_ns()
        self._next: Snapshot | None = None
        self._closing = False
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)
        self._thread.start()

    def offer(self, snapshot: Snapshot) -> None:
        """Send a snapshot as soon as the one before is gone. Never waits."""
        if self._next is not None:
            self.dropped += 1
        self._next = snapshot
        self._wake.set()

    def close(self, timeout: float) -> None:
        """Send what was offered last, for at most `timeout` seconds. Blocks."""
        self._closing = True
        self._wake.set()
        self._thread.join(timeout)

    def _run(self) -> None:
        # Slow to import, see `trace`.
        from twospeed.telemetry.otlp import Reached, metric_exporter, resource
        from twospeed.telemetry.points import Report

        exporter, report = metric_exporter(self._to), Report(resource(), self._began, self._latest)
        reached = Reached("metrics", self._to.url)
        while self._next is not None or not self._closing:
            self._wake.wait()
            self._wake.clear()
            snapshot, self._next = self._next, None
            if snapshot is None:
                continue
            good = exporter.export(report.of(snapshot, self.places, time_ns())).name == "SUCCESS"
            reached(good)
            if good:
                self.exported += 1
            else:
                self.dropped += 1
        exporter.shutdown()
