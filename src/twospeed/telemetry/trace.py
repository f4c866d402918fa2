"""Traces: a Sink that keeps finished records for a thread which makes spans of them and sends them away.

    record -> Traces (bounded queue) -> thread: spans -> OTLP/HTTP

A request pays for one look at its record and an append. The thread is owned by Traces, which starts it and joins it in
`close`; it alone talks to the collector. Whatever that does, a request never waits and no more than `queue` records are
kept: what finds no room, or is not taken in time, is dropped and counted.
"""

import threading
from collections import deque
from collections.abc import Iterable, Mapping
from time import monotonic, sleep, thread_time
from typing import TYPE_CHECKING

from twospeed.policy.tracing import exported
from twospeed.telemetry import Collector
from twospeed.telemetry.conventions import Place
from twospeed.types import Record

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from twospeed.telemetry.spans import Spans

BATCH = 16  # records sent at once: to encode them holds the interpreter for 3 ms, and requests as long
PAUSE = 0.0002  # seconds between records
REST = 4.0  # times the CPU time of a batch until the next: a fifth of a core at most, which is some 1,000 records/s
EVERY = 1.0  # seconds between two looks at the queue
GRACE = 0.5  # seconds for a collector that is in trouble when the server stops


class Traces:
    """Sends traces to one collector.

    Args:
        to: The collector.
        places: Where each provider is, by its name; may be replaced at any time.
        queue: Records kept at most.
        every: Seconds between two looks at the queue.
    """

    def __init__(self, to: Collector, places: Mapping[str, Place], queue: int, every: float = EVERY) -> None:
        self.places = places
        self.exported = 0
        self.dropped = 0
        self._to = to
        self._most = queue
        self._every = every
        self._waiting: deque[Record] = deque()
        self._stopping = threading.Event()
        self._deadline = float("inf")
        self._good = True
        self._thread = threading.Thread(target=self._run, name="traces", daemon=True)
        self._thread.start()

    def __call__(self, record: Record) -> None:
        """Keep a finished record if it is to leave a trace."""
        if exported(record):
            if len(self._waiting) < self._most:
                self._waiting.append(record)
            else:
                self.dropped += 1

    @property
    def waiting(self) -> int:
        """Records kept now, those being sent not counted."""
        return len(self._waiting)

    def close(self, timeout: float) -> None:
        """Send what is left, for at most `timeout` seconds; what is not sent then is counted as dropped. Blocks.

        A collector that did not take the last export gets no second chance beyond GRACE.
        """
        timeout = timeout if self._good else min(timeout, GRACE)
        self._deadline = monotonic() + timeout
        self._stopping.set()
        self._thread.join(timeout)
        self.dropped += len(self._waiting)

    def _run(self) -> None:
        # Slow to import: a server without a collector never pays for it, and one with it does not wait for it.
        from twospeed.telemetry.otlp import Reached, resource, span_exporter
        from twospeed.telemetry.spans import Spans

        exporter, spans = span_exporter(self._to), Spans(resource(), self.places)
        reached = Reached("traces", self._to.url)
        stopping = False
        while not stopping:
            stopping = self._stopping.wait(self._every)
            while self._waiting and monotonic() < self._deadline:
                began = thread_time()
                batch = self._batch()
                spans.places = self.places
                self._good = exporter.export(self._made(spans, batch)).name == "SUCCESS"
                reached(self._good)
                if self._good:
                    self.exported += len(batch)
                else:
                    self.dropped += len(batch)
                self._stopping.wait(REST * (thread_time() - began))
        exporter.shutdown()  # type: ignore[no-untyped-call]

    def _batch(self) -> list[Record]:
        waiting = self._waiting
        return [waiting.popleft() for _ in range(min(BATCH, len(waiting)))]

    def _made(self, spans: "Spans", batch: Iterable[Record]) -> list["ReadableSpan"]:
        """Make the spans of a batch, giving way to requests after each record."""
        made: list[ReadableSpan] = []
        for record in batch:
            made += spans.of(record)
            sleep(PAUSE)
        return made
