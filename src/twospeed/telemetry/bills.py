"""Money and tokens by whom and for what: sums per backend and arm of a split, and per caller's key.

Sums of money leave out what has no price; how much that is, is counted beside them. What rests on estimated tokens is
told apart. At most ROOM time series; keys and arms there is no room for are summed under "other".
"""

from collections.abc import Iterator

from twospeed.policy.money import cost
from twospeed.telemetry.instruments import COST, KEY_COST, KEY_TOKENS, NONE, OTHER, UNPRICED
from twospeed.telemetry.snapshot import Point
from twospeed.types import Attempt, Backend, Record

ROOM = 200
_BACKENDS, _KEYS = 24, 20  # most told apart: three series each for the former, six for the latter
_TYPES = ("input", "output", "cached", "cache_write")


class _Sum:
    """`money`: US dollars, reported and estimated. `unpriced`: requests. `tokens`: in the order of _TYPES."""

    __slots__ = ("money", "tokens", "unpriced")

    def __init__(self) -> None:
        self.money = [0.0, 0.0]
        self.unpriced = 0
        self.tokens = [0, 0, 0, 0]


class Bills:
    """The sums of one process."""

    def __init__(self) -> None:
        self._backends: dict[tuple[str, str, str], tuple[Backend, _Sum]] = {}
        self._keys: dict[tuple[str, str], _Sum] = {}

    def add(self, record: Record) -> None:
        """Count a finished request, each attempt that used something for itself."""
        for attempt in record.attempts:
            if attempt.usage is not None:
                self._add(record, attempt)

    def _add(self, record: Record, attempt: Attempt) -> None:
        usage, backend = attempt.usage, attempt.backend
        assert usage is not None
        place = record.tier, backend.name, record.arm
        known = self._backends.get(place)
        if known is None:
            known = self._backend(place, backend)
        key = self._keys.get((record.caller, record.tier))
        if key is None:
            key = self._key(record.caller, record.tier)
        price, of = backend.price, known[1]
        if price is None:
            of.unpriced += 1
        else:
            dollars = cost(usage, price) if record.cost is None or len(record.attempts) > 1 else record.cost
            of.money[usage.estimated] += dollars
            key.money[usage.estimated] += dollars
        tokens = key.tokens
        tokens[0] += usage.input_tokens
        tokens[1] += usage.output_tokens
        tokens[2] += usage.cached_tokens
        tokens[3] += usage.cache_write_tokens

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
            for kind, count in zip(_TYPES, of.tokens, strict=True):
                if count:
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
