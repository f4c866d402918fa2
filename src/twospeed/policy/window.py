"""Sliding windows: how much a pool may still take in the minute that ends now (R19-R21).

The last minute is kept as 120 buckets of half a second and the one under way; a bucket counts as long as any instant of
it may lie in the last 60 s. So no window of 60 s ever holds more than the limit, a burst after quiet is served at once,
and at least 120/121 of the limit can be used. Tokens are reserved at admission and corrected in the bucket of the
admission.

An ask larger than a whole limit could never fit. It is admitted when the window is empty and then fills it for a
minute; else it waits until the window will be empty.

Nothing here keeps time: `now` is seconds on the store's clock. It should not decrease; a step back counts as standing
still, one by more than a minute starts the windows afresh, so that no clock closes a pool for good.
`stores/redis/limit.lua` says the same in Lua, and a property test holds the two together.
"""

from math import ceil

from twospeed.policy.limit import Ask, Level, Limit, Permit, Refusal

WINDOW = 60.0  # seconds
RATE = 2  # buckets per second
SPAN = int(WINDOW) * RATE + 1  # buckets that count, the one under way among them
MOST_COOLDOWN = 300.0  # seconds, R9
MOST_TOKENS = 1 << 40  # per request; keeps a provider's nonsense out of 64-bit sums
BUSY_WAIT = 1.0  # seconds; nobody knows when a request under way ends, so ask again soon

CURSOR, REQUESTS, INPUT, OUTPUT, COOL, MARK, RING = 0, 1, 2, 3, 4, 5, 8
CELLS = RING + 3 * SPAN
_MICRO = 1_000_000
_ROUNDING = 1e-6  # seconds; keeps a wait from ending a hair before the bucket does


class Meter:
    """The windows and the silence of one pool, in a flat row of integers that may live anywhere.

    Row: `int64[CELLS]`: newest bucket, sums of the window (requests, input, output tokens), end of the silence in
    microseconds, the store's own mark, two unused, then SPAN triples (requests, input, output), bucket `b` at `b % SPAN`.
    All zeros is a pool never used. Tokens per minute are the sum of both kinds, so every limit can be changed while
    counting goes on.
    """

    __slots__ = ("_cells",)

    def __init__(self, cells: list[int] | memoryview) -> None:
        self._cells = cells

    def take(self, ask: Ask, busy: int, now: float) -> Refusal | None:
        """Count `ask` in every dimension if it fits all of them, else change nothing and say what holds it back.

        Args:
            busy: Requests of the pool under way; compared with `concurrency` only.
        """
        cells = self._cells
        bucket = cells[CURSOR]
        if int(now * RATE) != bucket:
            bucket = self._roll(now)
        limit = ask.within or ask.limit
        read, written = ask.input_tokens, ask.output_tokens
        requests, used_in, used_out = cells[REQUESTS], cells[INPUT], cells[OUTPUT]
        if (
            cells[COOL] > now * _MICRO
            or (limit.rpm is not None and requests >= limit.rpm)
            or (limit.tpm is not None and not _fits(used_in + used_out, read + written, limit.tpm))
            or (limit.itpm is not None and not _fits(used_in, read, limit.itpm))
            or (limit.otpm is not None and not _fits(used_out, written, limit.otpm))
            or (limit.concurrency is not None and busy >= limit.concurrency)
        ):
            return self._refusal(ask, busy, now)
        at = RING + bucket % SPAN * 3
        cells[at] += 1
        cells[at + 1] += read
        cells[at + 2] += written
        cells[REQUESTS] = requests + 1
        cells[INPUT] = used_in + read
        cells[OUTPUT] = used_out + written
        return None

    def settle(self, permit: Permit, input_tokens: int, output_tokens: int, now: float) -> None:
        """Replace the estimate of an admission by what was used; nothing when it has left the window."""
        read, written = bounded(input_tokens), bounded(output_tokens)
        ask = permit.ask
        self.correct(permit.at, 0, read - ask.input_tokens, written - ask.output_tokens, now)

    def refund(self, permit: Permit, now: float) -> None:
        """Take an admission back as if it had never been."""
        self.correct(permit.at, -1, -permit.ask.input_tokens, -permit.ask.output_tokens, now)

    def correct(self, at: float, requests: int, read: int, written: int, now: float) -> None:
        """Add to what was counted at an instant; nothing when that has left the window."""
        bucket, newest = int(at * RATE), self._cells[CURSOR]
        if int(now * RATE) != newest:
            newest = self._roll(now)
        if newest - bucket < SPAN:
            self._add(bucket, requests, read, written)

    def learn(self, limit: Limit, dimension: str, remaining: int, reset_after: float, now: float) -> None:
        """Charge what the provider has counted and we have not; it leaves the window after `reset_after` seconds."""
        most = getattr(limit, dimension)
        if most is None:
            return
        newest = self._roll(now)
        missing = most - self.used(dimension, now) - max(remaining, 0)
        if missing > 0:
            leaves = ceil((now + min(max(0.0, reset_after), WINDOW)) * RATE)
            read, written = (0, missing) if dimension == "otpm" else (missing, 0)
            bucket = min(max(leaves - SPAN, newest - SPAN + 1), newest)
            self._add(bucket, missing, 0, 0) if dimension == "rpm" else self._add(bucket, 0, read, written)

    def cool(self, seconds: float, now: float) -> None:
        """Refuse everything for `seconds`, at most MOST_COOLDOWN; never shortens."""
        until = int((now + min(max(0.0, seconds), MOST_COOLDOWN)) * _MICRO)
        self._cells[COOL] = max(self._cells[COOL], until)

    def charge(self, age: int, requests: int, read: int, written: int, now: float) -> None:
        """Count what was admitted elsewhere, `age` buckets ago (0: the newest); nothing when it has left the window."""
        newest = self._cells[CURSOR]
        if int(now * RATE) != newest:
            newest = self._roll(now)
        if age < SPAN:
            self._add(newest - max(age, 0), requests, read, written)

    def charges(self, now: float) -> list[tuple[int, int, int, int]]:
        """Return what the window holds, oldest first, as `charge` takes it: age, requests, input, output tokens."""
        newest = self._roll(now)
        found = []
        for age in range(SPAN - 1, -1, -1):
            at = RING + (newest - age) % SPAN * 3
            requests, read, written = self._cells[at : at + 3]
            if requests or read or written:
                found.append((age, requests, read, written))
        return found

    def cooling(self, now: float) -> float:
        """Return the seconds for which the pool is still silent, 0 when it is not."""
        return max(0.0, self._cells[COOL] / _MICRO - now)

    def sums(self, now: float) -> tuple[int, int, int]:
        """Return requests, input and output tokens of the last 60 s."""
        cells = self._cells
        if int(now * RATE) != cells[CURSOR]:
            self._roll(now)
        return cells[REQUESTS], cells[INPUT], cells[OUTPUT]

    def used(self, dimension: str, now: float) -> int:
        """Return what the last 60 s hold of rpm, tpm, itpm or otpm."""
        self._roll(now)
        return self._sum(*_COLUMNS[dimension])

    def repair(self) -> None:
        """Make the sums true again after a writer died half way; the buckets are what counts."""
        for column in (REQUESTS, INPUT, OUTPUT):
            self._cells[column] = sum(self._cells[RING + column - 1 : CELLS : 3])

    def _roll(self, now: float) -> int:
        """Drop what has left the window; return the newest bucket."""
        cells = self._cells
        newest = cells[CURSOR]
        bucket = int(now * RATE)
        if bucket <= newest and newest - bucket < SPAN:
            return newest
        if abs(bucket - newest) >= SPAN:
            self._clear()
        else:
            for passed in range(newest + 1, bucket + 1):
                at = RING + passed % SPAN * 3
                if cells[at] or cells[at + 1] or cells[at + 2]:
                    self._drop(at)
        cells[CURSOR] = bucket
        return bucket

    def _drop(self, at: int) -> None:
        cells = self._cells
        for column in range(3):
            cells[REQUESTS + column] -= cells[at + column]
            cells[at + column] = 0

    def _clear(self) -> None:
        cells = self._cells
        if cells[REQUESTS] or cells[INPUT] or cells[OUTPUT]:
            for at in range(RING, CELLS, 3):
                self._drop(at)

    def _add(self, bucket: int, requests: int, read: int, written: int) -> None:
        cells = self._cells
        at = RING + bucket % SPAN * 3
        if requests:
            cells[at] += requests
            cells[REQUESTS] += requests
        if read:
            cells[at + 1] += read
            cells[INPUT] += read
        if written:
            cells[at + 2] += written
            cells[OUTPUT] += written

    def _refusal(self, ask: Ask, busy: int, now: float) -> Refusal:
        limit = ask.within or ask.limit
        read, written = ask.input_tokens, ask.output_tokens
        waits = {
            "rpm": self._wait("rpm", 1, limit.rpm, now),
            "tpm": self._wait("tpm", read + written, limit.tpm, now),
            "itpm": self._wait("itpm", read, limit.itpm, now),
            "otpm": self._wait("otpm", written, limit.otpm, now),
            "concurrency": BUSY_WAIT if limit.concurrency is not None and busy >= limit.concurrency else 0.0,
            "cooldown": self.cooling(now),
        }
        dimension = max(waits, key=waits.__getitem__)
        return Refusal(dimension, waits[dimension])

    def _wait(self, dimension: str, need: int, most: int | None, now: float) -> float:
        """Return the seconds until enough buckets have left the window."""
        column, other = _COLUMNS[dimension]
        used = self._sum(column, other)
        if most is None or _fits(used, need, most):
            return 0.0
        cells = self._cells
        for leaving in range(cells[CURSOR] - SPAN + 1, cells[CURSOR] + 1):
            at = RING - 1 + leaving % SPAN * 3
            freed = cells[at + column] + cells[at + other] if other else cells[at + column]
            used -= freed
            if freed and _fits(used, need, most):
                return (leaving + SPAN) / RATE - now + _ROUNDING
        return WINDOW

    def _sum(self, column: int, other: int) -> int:
        return self._cells[column] + self._cells[other] if other else self._cells[column]


_COLUMNS = {"rpm": (REQUESTS, 0), "tpm": (INPUT, OUTPUT), "itpm": (INPUT, 0), "otpm": (OUTPUT, 0)}


def _fits(used: int, need: int, most: int) -> bool:
    return used + need <= most or used <= 0 or need <= 0


def bounded(tokens: int) -> int:
    """Return a number of tokens that may be added up; providers report nonsense at times.

    >>> bounded(-5), bounded(120)
    (0, 120)
    """
    return tokens if 0 <= tokens <= MOST_TOKENS else min(max(tokens, 0), MOST_TOKENS)


def levels(pool: str, limit: Limit, meter: Meter, busy: int, now: float) -> list[Level]:
    """Say how full each limited dimension of a pool is; dimensions without a limit are left out."""
    return [
        Level(pool, name, most, busy if name == "concurrency" else meter.used(name, now))
        for name, most in limit
        if most is not None
    ]
