"""Limits: what one admission asks and answers (R18-R20), who is under way, and what a replica may do alone.

A pool is what a provider meters together (`provider/family`), or one caller's key. The sliding windows behind an answer
are in `policy.window`; where they are kept is a store's business.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import msgspec

from twospeed.types import Settings
from twospeed.units import PositiveCount

LEASE = 60.0  # seconds (R20: at most 300): how long a slot outlives the last sign of life of its owner


class Limit(Settings):
    """`providers.<name>.limits.<family>`: what may reach a provider; `keys[].limits`: what a key may use. Absent: not limited."""

    rpm: PositiveCount | None = None
    """Requests in any 60 s."""
    tpm: PositiveCount | None = None
    """Tokens, in and out together, in any 60 s."""
    itpm: PositiveCount | None = None
    """Input tokens in any 60 s, where the provider meters them apart."""
    otpm: PositiveCount | None = None
    """Output tokens in any 60 s, where the provider meters them apart."""
    concurrency: PositiveCount | None = None
    """Requests under way at once."""


UNLIMITED = Limit()


class Ask(msgspec.Struct, frozen=True):
    """One request asking to be admitted to `pool` (`provider/family`): estimated tokens in and out.

    `within`: what it must fit into where that is less than the limit of the pool, because the rest is kept for others.
    """

    pool: str
    limit: Limit
    input_tokens: int
    output_tokens: int
    within: Limit | None = None


class Permit(msgspec.Struct):
    """An admission to be settled exactly once. `id` is unique; `at` is the instant on the store's clock.

    `settled` guards against a second settlement; only the store writes it.
    """

    id: str
    ask: Ask
    at: float
    settled: bool = False


class Refusal(msgspec.Struct, frozen=True):
    """Not now. `dimension`: rpm, tpm, itpm, otpm, concurrency or cooldown, whichever lasts longest.

    `retry_after`: seconds until the ask would fit if nothing else came; 1 for concurrency, whose end nobody knows.
    """

    dimension: str
    retry_after: float


class Level(NamedTuple):
    """How full one dimension of a pool is. `limit` and `used` in requests, tokens or requests under way."""

    pool: str
    dimension: str
    limit: int
    used: int


class Limits(Protocol):
    """Where admissions are kept: in process, shared by the workers of one host, or in Redis."""

    async def take(self, ask: Ask) -> Permit | Refusal:
        """Admit in one atomic step: all dimensions of the pool or none."""

    def settle(self, permit: Permit, input_tokens: int, output_tokens: int) -> None:
        """Replace the estimate by what was used and end the concurrency slot. Never waits; a second call is ignored."""

    def refund(self, permit: Permit) -> None:
        """Give everything back: the provider refused the request or was never reached. Never waits."""

    def touch(self, permit: Permit) -> None:
        """Show that a long request is still under way; needed once per lease (a minute) to keep its slot."""

    def learn(self, pool: str, dimension: str, remaining: int, reset_after: float) -> None:
        """Take the provider's word for what is left of rpm, tpm, itpm or otpm, if it is less than we think (R21).

        `reset_after`: seconds until the provider counts from zero again; more than 60 is taken as 60.
        """

    def cool(self, pool: str, seconds: float) -> None:
        """Silence a pool for that long, at most 5 minutes; never shortens a silence under way."""

    def levels(self, pool: str) -> list[Level]:
        """Say how full each limited dimension of one pool is; empty for one never asked for."""

    def usage(self) -> list[Level]:
        """Say how full each limited dimension of each pool seen is."""


class Leases:
    """Requests under way in one pool: each ends when its owner says so, or `lease` seconds after its last sign of life."""

    __slots__ = ("_lease", "_until")

    def __init__(self, lease: float = LEASE) -> None:
        self._lease = lease
        self._until: OrderedDict[str, float] = OrderedDict()  # in the order in which they lapse

    def __len__(self) -> int:
        return len(self._until)

    def busy(self, now: float, most: int) -> int:
        """Count the requests under way; lapsed ones are looked for only when there seem to be `most` or more."""
        until = self._until
        while until and len(until) >= most:
            first = next(iter(until))
            if until[first] > now:
                break
            del until[first]
        return len(until)

    def begin(self, permit: str, now: float) -> None:
        """Count one more."""
        self._until[permit] = now + self._lease

    def lapses(self) -> list[tuple[str, float]]:
        """Return the requests under way with the instants at which they lapse, the first first."""
        return list(self._until.items())

    def end(self, permit: str) -> bool:
        """Count one less; False when it had lapsed."""
        return self._until.pop(permit, None) is not None

    def touch(self, permit: str, now: float) -> bool:
        """Start its lease again; False when it had lapsed."""
        if not self.end(permit):
            return False
        self.begin(permit, now)
        return True


def remainder(limit: Limit, replicas: int, used: Sequence[int], own: Sequence[int]) -> Limit:
    """Return what one of `replicas` may have used in all when each takes an equal part of what was left.

    Args:
        used: Requests, input tokens, output tokens and requests under way of all replicas.
        own: The same of this one.

    >>> remainder(Limit(rpm=100, tpm=1000), 2, (90, 300, 300, 0), (10, 100, 0, 0))
    Limit(rpm=15, tpm=300, itpm=None, otpm=None, concurrency=None)
    """
    parts = {
        name: _of(name, own) + max(0, most - _of(name, used)) // replicas for name, most in limit if most is not None
    }
    return limit.model_copy(update=parts)


def least(one: Limit, other: Limit) -> Limit:
    """Return the lower of two limits in each dimension; both limit the same ones."""
    return one.model_copy(update={name: min(most, getattr(other, name)) for name, most in one if most is not None})


def _of(dimension: str, counts: Sequence[int]) -> int:
    requests, read, written, busy = counts
    return {"rpm": requests, "tpm": read + written, "itpm": read, "otpm": written, "concurrency": busy}[dimension]


def leaving(limit: Limit, part: float) -> Limit:
    """Return what is left of a limit for those who must leave a part of it to others; never less than 1.

    >>> leaving(Limit(rpm=100, concurrency=2), 0.2)
    Limit(rpm=80, tpm=None, itpm=None, otpm=None, concurrency=1)
    """
    left = {name: max(1, int(most * (1.0 - part))) for name, most in limit if most is not None}
    return limit.model_copy(update=left)


def share(limit: Limit, replicas: int) -> Limit:
    """Return what one of `replicas` may use when they cannot ask each other; never less than 1.

    >>> share(Limit(rpm=100, concurrency=2), 3)
    Limit(rpm=33, tpm=None, itpm=None, otpm=None, concurrency=1)
    """
    parts = {name: max(1, most // replicas) for name, most in limit if most is not None}
    return limit.model_copy(update=parts)
