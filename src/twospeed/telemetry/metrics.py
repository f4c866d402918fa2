"""Metrics: a Sink that counts, and snapshots that can be added up over workers.

    record -> Metrics -> snapshot -> merge (workers) -> exposition.render, or push (OTLP)

Counting is all that happens on a request's path, and some requests are counted together. What is not counted but looked up (limits, breakers, requests in
flight) is asked for by a snapshot only. At most SERIES time series come out of one process, whatever the configuration
and the clients do: what there is no room for is counted under "other".
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

from twospeed.errors import Kind as Fault
from twospeed.policy.tracing import exported
from twospeed.telemetry import TOGETHER
from twospeed.telemetry.bills import ROOM as BILLS
from twospeed.telemetry.bills import Bills
from twospeed.telemetry.instruments import (
    ATTEMPTS,
    CACHE_KEPT,
    DECISIONS,
    FAULTS,
    FIRST_TOKEN,
    HEDGES,
    LIMIT_REFUSED,
    NONE,
    OBSERVED,
    OTHER,
    OUTPUT_RATE,
    REQUEST_DURATION,
    REQUESTS,
    RESUMES,
    TIER_DOWN,
    TOKEN_TYPES,
    TOKENS,
    Instrument,
)
from twospeed.telemetry.operations import Operations
from twospeed.telemetry.snapshot import Point, Snapshot, copied
from twospeed.telemetry.tally import Tally
from twospeed.types import Attempt, Backend, Record

SERIES = 2_000
COUNTED = 1_700  # of them for what is counted here; the rest is for what is looked up
MARKS = 24  # what notes count, tiers and outcomes together
RULES = 24  # rules that choose a tier, told apart; there are about half as many
_NAMES = 7  # codes, outcomes and kinds of fault that each tally brings room for; who needs fewer leaves it to others
_SPARED = COUNTED * 2 // 5  # of the room for further tallies, what names may not take
_TALLY = REQUEST_DURATION.series + FIRST_TOKEN.series + OUTPUT_RATE.series + len(TOKEN_TYPES) + 3 + _NAMES  # 3 "other"
_MARKED = {
    "down": TIER_DOWN,
    "hedge": HEDGES,
    "resume": RESUMES,
}  # the first word of a note -> what it counts; the rest are its labels
_NOWHERE = Backend(NONE, OTHER, NONE, "")


class Reading(NamedTuple):
    """One value that was looked up."""

    instrument: Instrument
    labels: tuple[str, ...]
    value: float


Watch = Callable[[], Iterable[Reading]]


class Metrics:
    """Counts the requests of one process. Calls and snapshots belong to one thread.

    Args:
        operations: Also keep what the GenAI conventions want over OTLP.
    """

    def __init__(self, operations: bool = False) -> None:
        self._tallies: dict[tuple[str, str], Tally] = {}
        self._left = COUNTED - RULES - MARKS - BILLS - _TALLY  # one tally is kept free for what finds no room
        self._names = _NAMES
        self._refused: defaultdict[str, int] = defaultdict(int)
        self._marked: defaultdict[str, int] = defaultdict(int)
        self._decided: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._granted: set[tuple[str, ...]] = set()
        self._bills = Bills()
        self._observed: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._switches = [0, 0]  # kept, made
        self._operations = Operations() if operations else None
        self._watches: list[Watch] = []
        self._waiting: list[Record] = []

    def __call__(self, record: Record) -> None:
        """Take a finished record. It is counted at the latest with TOGETHER - 1 others."""
        self._waiting.append(record)
        if len(self._waiting) >= TOGETHER:
            self._count()

    def _count(self) -> None:
        records, self._waiting = self._waiting, []
        for record in records:
            self._add(record)

    def _add(self, record: Record) -> None:
        attempts, tier = record.attempts, record.tier
        served = record.served
        last = served.backend if served else _NOWHERE
        tally = self._tallies.get((tier, last.name)) or self._open(tier, last)
        trace = record.trace
        tally.add(record, trace is not None and (trace.sampled or exported(record)))
        if len(attempts) == 1:
            tally.attempted(attempts[0])
        elif attempts:
            self._attempted(tier, attempts)
        if record.reasons:
            self._decided[tier, record.reasons[0]] += 1
        for note in record.notes:
            if note.startswith("limited:"):
                self._refused[note] += 1
            elif note.partition(":")[0] in _MARKED:
                self._marked[note] += 1
        self._bills.add(record)
        if record.observed is not None:
            self._observed[tier, record.observed.tier] += 1
        if record.weighed is not None:
            self._switches[record.weighed.made] += 1
        if self._operations is not None:
            self._operations.add(record)

    def watch(self, watch: Watch) -> None:
        """Ask `watch` for its readings at each snapshot."""
        self._watches.append(watch)

    def snapshot(self) -> Snapshot:
        """Return everything as it is now; later counting does not change it."""
        self._count()
        found: Snapshot = {}
        for name, point in chain(self._counted(), self._read()):
            found.setdefault(name, []).append(point)
        if self._operations is not None:
            for name, labels, spread in self._operations.spreads():
                found.setdefault(name, []).append(Point(labels, spread=copied(spread)))
        return found

    def _attempted(self, tier: str, attempts: Sequence[Attempt]) -> None:
        for attempt in attempts:
            tally = self._tallies.get((tier, attempt.backend.name)) or self._open(tier, attempt.backend)
            tally.attempted(attempt)

    def _open(self, tier: str, backend: Backend) -> Tally:
        """Begin to count a tier at a backend, or share what is counted for all the others."""
        if self._left < _TALLY:
            shared = self._tallies.get((OTHER, OTHER))
            if shared is None:
                shared = self._tallies[OTHER, OTHER] = Tally((OTHER, OTHER, OTHER, OTHER))
            self._tallies[tier, backend.name] = shared
            return shared
        self._left -= _TALLY
        self._names += _NAMES
        tally = Tally((tier or NONE, backend.provider, backend.model, backend.region))
        self._tallies[tier, backend.name] = tally
        return tally

    def _counted(self) -> Iterator[tuple[str, Point]]:
        tallies = {tally.labels: tally for tally in self._tallies.values()}
        for labels, tally in tallies.items():
            yield REQUEST_DURATION.name, Point(labels, spread=copied(tally.duration))
            yield FIRST_TOKEN.name, Point(labels, spread=copied(tally.first_token))
            yield OUTPUT_RATE.name, Point(labels, spread=copied(tally.rate))
            for kind in TOKEN_TYPES:
                yield TOKENS.name, Point((*labels, kind), getattr(tally.tokens, kind))
        yield from self._decisions()
        yield from self._bills.points()
        for (tier, auto), count in self._observed.items():
            yield OBSERVED.name, Point((tier or NONE, auto), count)
        for outcome, count in zip(("kept", "made"), self._switches, strict=True):
            if count:
                yield CACHE_KEPT.name, Point((outcome,), count)
        for mark, count in self._marked.items():
            word, *marked = mark.split(":")
            yield _MARKED[word].name, Point(tuple(marked), count)
        # In the order of what is missed most when there is no room for a name.
        for labels, tally in tallies.items():
            yield from self._named(REQUESTS, labels, {str(code): n for code, n in tally.codes.items()})
        for labels, tally in tallies.items():
            yield from self._named(ATTEMPTS, labels, {_word(kind): n for kind, n in tally.outcomes.items()})
        yield from self._refusals()
        for labels, tally in tallies.items():
            yield from self._named(FAULTS, labels, {_word(kind): n for kind, n in tally.faults.items()})

    def _decisions(self) -> Iterator[tuple[str, Point]]:
        sums: dict[tuple[str, ...], int] = {}
        for (tier, reason), count in self._decided.items():
            labels: tuple[str, ...] = (tier, reason.partition(":")[0])
            if labels not in sums and len(sums) >= RULES - 1:
                labels = (OTHER, OTHER)
            sums[labels] = sums.get(labels, 0) + count
        for labels, count in sums.items():
            yield DECISIONS.name, Point(labels, count)

    def _refusals(self) -> Iterator[tuple[str, Point]]:
        sums: dict[tuple[str, ...], int] = {}
        for note, count in self._refused.items():
            pool, dimension = note.removeprefix("limited:").rsplit(":", 1)
            named = self._grant(LIMIT_REFUSED.name, pool, dimension)
            labels: tuple[str, ...] = (pool, dimension) if named else (OTHER, OTHER)
            sums[labels] = sums.get(labels, 0) + count
        for labels, count in sums.items():
            yield LIMIT_REFUSED.name, Point(labels, count)

    def _named(self, of: Instrument, labels: tuple[str, ...], counts: dict[str, int]) -> Iterator[tuple[str, Point]]:
        """Put a name on each count while there is room, once and for all; the others are summed."""
        rest = 0
        for name, count in counts.items():
            if self._grant(of.name, *labels, name):
                yield of.name, Point((*labels, name), count)
            else:
                rest += count
        if rest:
            yield of.name, Point((*labels, OTHER), rest)

    def _grant(self, *series: str) -> bool:
        if series in self._granted:
            return True
        if self._names > 0:
            self._names -= 1
        elif self._left > _SPARED:
            self._left -= 1
        else:
            return False
        self._granted.add(series)
        return True

    def _read(self) -> Iterator[tuple[str, Point]]:
        room = SERIES - COUNTED
        for reading in (reading for watch in self._watches for reading in watch()):
            if room > 0:
                yield reading.instrument.name, Point(reading.labels, reading.value)
            room -= 1


def _word(kind: Fault | None) -> str:
    return kind.value if kind else "ok"
