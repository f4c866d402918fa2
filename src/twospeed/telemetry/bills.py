"""Money and tokens by whom and for what: sums per backend and arm of a split, and per caller's key.

Sums of money leave out what has no price; how much that is, is counted beside them. What rests on estimated tokens is
told apart. At most ROOM time series; keys and arms there is no room for are summed under "other".
"""

from collections.abc import Iterator

from twospeed.policy.money import cost
from twospeed.telemetry.instruments import COST, KEY_COST, KEY_TOKENS, NONE, OTHER, UNPRICED
from twospeed.telemetry.snapshot import Point
from twospeed.telemetry.tally import Tokens
from twospeed.types import Backend, Record, Usage

ROOM = 200
_BACKENDS, _KEYS = 24, 20  # most told apart: three series each for the former, six for the latter
_TYPES = ("input", "output", "cached", "cache_write")  # of tokens, those that are paid for


class _Sum:
    """`money`: US dollars, reported and estimated. `unpriced`: requests."""

    __slots__ = ("money", "tokens", "unpriced")

    def __init__(self) -> None:
        self.money = [0.0, 0.0]
        self.unpriced = 0
        self.tokens = Tokens()


class Bills:
    """The sums of one process."""

    def __init__(self) -> None:
        self._backends: dict[tuple[str, str, str], tuple[Backend, _Sum]] = {}
        self._keys: dict[tuple[str, str], _Sum] = {}

    def add(self, record: Record) -> None:
        """Count a finished request, each attempt that used something for itself."""
        for attempt in record.attempts:
            usage = attempt.usage
            if usage is not None:
                self._add(record, attempt.backend, usage)

    def _add(self, record: Record, backend: Backend, usage: Usage) -> None:
        tier, caller, price = record.tier, record.caller, backend.price
        place = tier, backend.name, record.arm
        _, of = self._backends.get(place) or self._backend(place, backend)
        key = self._keys.get((caller, tier)) or self._key(caller, tier)
        key.tokens.add(usage)
        if price is None:
            of.unpriced += 1
        else:
            dollars = cost(usage, price) if record.cost is None or len(record.attempts) > 1 else record.cost
            of.money[usage.estimated] += dollars
            key.money[usage.estimated] += dollars

    def points(self) -> Iterator[tuple[str, Point]]:
        """Return all sums as they are now."""
        sums: dict[tuple[str, tuple[str, ...]], float] = {}
        for (tier, _, arm), (backend, of) in self._backends.items():
            labels = (tier or NONE, backend.provider, backend.model, backend.region, arm or NONE)
            _pile(sums, COST.name, labels, of)
            if of.unpriced:
                _more(sums, UNPRICED.name, labels, of.unpriced)
        for (caller, tier), of in self._keys.items():
            _pile(sums, KEY_COST.name, (caller, tier or NONE), of)
            for kind in _TYPES:
                if count := getattr(of.tokens, kind):
                    _more(sums, KEY_TOKENS.name, (caller, kind), count)
        for (name, known), value in sums.items():
            yield name, Point(known, value)

    def _backend(self, place: tuple[str, str, str], backend: Backend) -> tuple[Backend, _Sum]:
        if len(self._backends) >= _BACKENDS:
            place, backend = (OTHER, OTHER, OTHER), Backend(OTHER, OTHER, OTHER, OTHER)
        return self._backends.setdefault(place, (backend, _Sum()))

    def _key(self, caller: str, tier: str) -> _Sum:
        if len(self._keys) >= _KEYS:
            caller = tier = OTHER
        return self._keys.setdefault((caller, tier), _Sum())


def _pile(sums: dict[tuple[str, tuple[str, ...]], float], name: str, labels: tuple[str, ...], of: _Sum) -> None:
    for basis, dollars in zip(("reported", "estimated"), of.money, strict=True):
        if dollars:
            _more(sums, name, (*labels, basis), dollars)


def _more(sums: dict[tuple[str, tuple[str, ...]], float], name: str, labels: tuple[str, ...], value: float) -> None:
    sums[name, labels] = sums.get((name, labels), 0) + value
