"""What a load test has seen: each request's outcome, and the sums over all of them. Durations are seconds."""

import math
from collections import Counter
from collections.abc import Iterator

import msgspec

STEPS = 64  # buckets for each doubling: a quantile is off by at most 1.1%
_TINY = -30 * STEPS  # about a nanosecond; everything below is as good as nothing


class Spread:
    """A distribution of durations in logarithmic buckets: any number of them in bounded memory.

    >>> spread = Spread()
    >>> for wait in (0.1, 0.2, 0.3): spread.add(wait)
    >>> spread.count, round(spread.quantile(0.5), 2), spread.largest
    (3, 0.2, 0.3)
    """

    __slots__ = ("_buckets", "count", "largest")

    def __init__(self) -> None:
        self._buckets: Counter[int] = Counter()
        self.count = 0
        self.largest = 0.0

    def add(self, seconds: float, times: int = 1) -> None:
        """Take one duration, or the same one several times."""
        self._buckets[_bucket(seconds)] += times
        self.count += times
        self.largest = max(self.largest, seconds)

    def quantile(self, share: float) -> float:
        """Return the duration that this share of all stays within; 0.0 when there are none."""
        rank, seen = max(1, math.ceil(share * self.count)), 0
        for bucket, times in sorted(self._buckets.items()):
            seen += times
            if seen >= rank:
                return min(_middle(bucket), self.largest)
        return 0.0

    def merge(self, other: "Spread") -> None:
        """Take everything another one holds."""
        self._buckets.update(other._buckets)
        self.count += other.count
        self.largest = max(self.largest, other.largest)

    def items(self) -> Iterator[tuple[float, int]]:
        """Yield durations with how often they came, shortest first."""
        for bucket, times in sorted(self._buckets.items()):
            yield _middle(bucket), times


def _bucket(seconds: float) -> int:
    return max(_TINY, math.floor(math.log2(seconds) * STEPS)) if seconds > 0 else _TINY


def _middle(bucket: int) -> float:
    return 0.0 if bucket == _TINY else float(2 ** ((bucket + 0.5) / STEPS))


class Outcome(msgspec.Struct):
    """What became of one request.

    `error`: "" for a whole and proper answer, else what went wrong in a few stable words. `truncated`: a stream that
    ended without its terminal event. `total`: from the instant it was due, whether or not it could be sent then.
    `first_token`: the same for the first content of a stream, None when there was none. `gaps`: between events; those
    that came together have 0 between them.
    """

    stream: bool
    total: float = 0.0
    error: str = ""
    truncated: bool = False
    first_token: float | None = None
    events: int = 0
    gaps: Spread = msgspec.field(default_factory=Spread)
    tier: str = ""
    backend: str = ""


class Tally:
    """All outcomes so far.

    `due`: requests that should have been sent. `late`: how long after that they began to be. `recent`: the times of good
    answers since somebody last replaced it.
    """

    def __init__(self) -> None:
        self.due = 0
        self.ok = 0
        self.truncated = 0
        self.events = 0
        self.errors: Counter[str] = Counter()
        self.tiers: Counter[str] = Counter()
        self.backends: Counter[str] = Counter()
        self.plain = Spread()
        self.streamed = Spread()
        self.first_token = Spread()
        self.gaps = Spread()
        self.late = Spread()
        self.recent = Spread()

    @property
    def failed(self) -> int:
        """Requests without a whole and proper answer."""
        return self.errors.total()

    @property
    def pending(self) -> int:
        """Requests that are due and not over."""
        return self.due - self.ok - self.failed

    def add(self, outcome: Outcome) -> None:
        """Take one outcome. Times of failed requests are left out of the spreads, except for what came before they failed."""
        self.truncated += outcome.truncated
        self.events += outcome.events
        self.gaps.merge(outcome.gaps)
        if outcome.first_token is not None:
            self.first_token.add(outcome.first_token)
        if outcome.tier:
            self.tiers[outcome.tier] += 1
        if outcome.backend:
            self.backends[outcome.backend] += 1
        if outcome.error:
            self.errors[outcome.error] += 1
            return
        self.ok += 1
        (self.streamed if outcome.stream else self.plain).add(outcome.total)
        self.recent.add(outcome.total)
