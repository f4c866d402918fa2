"""Counting one finished request: plain dicts and lists, one set for each tier and backend.

This is on the path of every request, so it is written flat: an observation is a bisection and two additions. Who reads
it makes a snapshot (see `metrics`).
"""

from bisect import bisect_left
from collections import defaultdict

from twospeed.errors import MEANING
from twospeed.errors import Kind as Fault
from twospeed.telemetry.instruments import DURATION_BOUNDS, FIRST_TOKEN_BOUNDS, OUTPUT_RATE_BOUNDS
from twospeed.telemetry.snapshot import Distribution, Exemplar, empty
from twospeed.types import Attempt, Record, Usage


class Tokens:
    """Sums of tokens, of the kinds that TOKEN_TYPES names."""

    __slots__ = ("cache_write", "cached", "input", "output", "reasoning")

    def __init__(self) -> None:
        self.input = self.output = self.cached = self.reasoning = self.cache_write = 0

    def add(self, usage: Usage) -> None:
        """Count one answer; most have tokens of the first two kinds only."""
        self.input += usage.input_tokens
        self.output += usage.output_tokens
        if usage.cached_tokens:
            self.cached += usage.cached_tokens
        if usage.reasoning_tokens:
            self.reasoning += usage.reasoning_tokens
        if usage.cache_write_tokens:
            self.cache_write += usage.cache_write_tokens


class Tally:
    """What happened to the requests of one tier at one backend.

    `codes`: by status the client saw. `outcomes`: of attempts, None for a good one.
    """

    __slots__ = ("codes", "duration", "faults", "first_token", "labels", "outcomes", "rate", "tokens")

    def __init__(self, labels: tuple[str, ...]) -> None:
        self.labels = labels
        self.codes: defaultdict[int, int] = defaultdict(int)
        self.faults: defaultdict[Fault, int] = defaultdict(int)
        self.outcomes: defaultdict[Fault | None, int] = defaultdict(int)
        self.duration = empty(DURATION_BOUNDS)
        self.first_token = empty(FIRST_TOKEN_BOUNDS)
        self.rate = empty(OUTPUT_RATE_BOUNDS)
        self.tokens = Tokens()

    def add(self, record: Record, traced: bool) -> None:
        """Count a request; `traced`: its trace is kept somewhere, so it may stand as an exemplar."""
        fault = record.fault
        code = record.status
        if fault is not None:
            self.faults[fault] += 1
            code = code or MEANING[fault].status
        self.codes[code] += 1
        started, ended, committed, usage = record.started_at, record.ended_at, record.committed_at, record.usage
        bucket = observe(self.duration, DURATION_BOUNDS, ended - started)
        if usage is not None:
            self.tokens.add(usage)
        first = -1
        if committed is not None and record.stream:
            first = observe(self.first_token, FIRST_TOKEN_BOUNDS, committed - started)
            # The first token is what the clock starts with, so there must be a second.
            if usage is not None and usage.output_tokens > 1 and not usage.estimated and ended > committed:
                observe(self.rate, OUTPUT_RATE_BOUNDS, (usage.output_tokens - 1) / (ended - committed))
        if traced:
            self._exemplify(record, bucket, first)

    def attempted(self, attempt: Attempt) -> None:
        """Count one attempt."""
        self.outcomes[attempt.kind] += 1

    def _exemplify(self, record: Record, bucket: int, first: int) -> None:
        trace = record.trace
        if trace is None:
            return
        took = record.ended_at - record.started_at
        at = record.started_wall + took
        span = trace.span or trace.parent
        self.duration.exemplars[bucket] = Exemplar(trace.id, span, took, at)
        if first >= 0 and record.committed_at is not None:
            waited = record.committed_at - record.started_at
            self.first_token.exemplars[first] = Exemplar(trace.id, span, waited, at)


def observe(spread: Distribution, bounds: tuple[float, ...], value: float) -> int:
    """Count a value in a histogram and return its bucket; a bound belongs to the bucket it closes."""
    bucket = bisect_left(bounds, value)
    spread.counts[bucket] += 1
    spread.sum += value
    return bucket
