"""GenAI client metrics: one operation is one attempt at a provider. Only OTLP carries them, so only then are they kept.

Source: OpenTelemetry GenAI metrics v1.41.0; token usage is left out where the provider never counted, as they demand.
"""

from collections.abc import Iterator

from twospeed.errors import Kind
from twospeed.telemetry.instruments import (
    NONE,
    OPERATION_BOUNDS,
    OPERATION_DURATION,
    OPERATION_FIRST_CHUNK,
    OTHER,
    TOKEN_BOUNDS,
    TOKEN_USAGE,
)
from twospeed.telemetry.snapshot import Distribution, empty, together
from twospeed.telemetry.tally import observe
from twospeed.types import Attempt, Record

MOST = 300  # combinations told apart; whatever else comes shares one


class Operations:
    """Counts attempts in the words of the GenAI conventions."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str, str, Kind | None], _Operation] = {}
        self._rest = _Operation((OTHER,) * 5, OTHER)

    def add(self, record: Record) -> None:
        """Count every attempt of a finished record."""
        kept = None
        for attempt in record.attempts:
            key = (record.operation, record.tier, attempt.backend.name, attempt.kind)
            kept = self._kept.get(key) or self._open(record, attempt)
            kept.add(attempt, record.stream)
        if kept is not None and record.usage is not None and not record.usage.estimated:
            observe(kept.input, TOKEN_BOUNDS, record.usage.input_tokens)
            observe(kept.output, TOKEN_BOUNDS, record.usage.output_tokens)

    def spreads(self) -> Iterator[tuple[str, tuple[str, ...], Distribution]]:
        """Yield instrument, labels and histogram of everything counted; what differs only in the error is added up."""
        for kept in (*self._kept.values(), self._rest):
            if any(kept.duration.counts):
                yield OPERATION_DURATION.name, (*kept.labels, kept.error), kept.duration
        merged: dict[tuple[str, tuple[str, ...]], Distribution] = {}
        for kept in (*self._kept.values(), self._rest):
            for name, labels, spread in kept.others():
                before = merged.get((name, labels))
                merged[name, labels] = together(before, spread) if before else spread
        for (name, labels), spread in merged.items():
            yield name, labels, spread

    def _open(self, record: Record, attempt: Attempt) -> "_Operation":
        if len(self._kept) >= MOST:
            return self._rest
        backend, error = attempt.backend, attempt.kind.value if attempt.kind else ""
        place = (record.operation, record.tier or NONE, backend.provider, backend.model, backend.region)
        kept = self._kept[record.operation, record.tier, backend.name, attempt.kind] = _Operation(place, error)
        return kept


class _Operation:
    """One operation at one backend with one ending."""

    __slots__ = ("duration", "error", "first_chunk", "input", "labels", "output")

    def __init__(self, labels: tuple[str, ...], error: str) -> None:
        self.labels = labels
        self.error = error
        self.duration = empty(OPERATION_BOUNDS)
        self.first_chunk = empty(OPERATION_BOUNDS)
        self.input = empty(TOKEN_BOUNDS)
        self.output = empty(TOKEN_BOUNDS)

    def add(self, attempt: Attempt, stream: bool) -> None:
        """Count an attempt that has ended."""
        if attempt.ended_at is None:
            return
        observe(self.duration, OPERATION_BOUNDS, attempt.ended_at - attempt.started_at)
        if stream and attempt.first_token_at is not None:
            observe(self.first_chunk, OPERATION_BOUNDS, attempt.first_token_at - attempt.started_at)

    def others(self) -> Iterator[tuple[str, tuple[str, ...], Distribution]]:
        """Yield what the error is no label of."""
        if any(self.first_chunk.counts):
            yield OPERATION_FIRST_CHUNK.name, self.labels, self.first_chunk
        if any(self.input.counts):
            yield TOKEN_USAGE.name, (*self.labels, "input"), self.input
            yield TOKEN_USAGE.name, (*self.labels, "output"), self.output
