"""Sums: all that a judge keeps of the past, per session, language and epoch; two of them add up to one.

    session x language x epoch -> one row of SUMS

An epoch is a stretch of the rollout (an hour of a day's bake): late trouble is looked for from the start of each.
"""

from typing import Any, NamedTuple

import numpy as np

from twospeed.policy.judge.observation import DURATIONS, RATES, Floats, Ints

TAILS = tuple(f"{name}_{kind}" for name in DURATIONS for kind in ("slip", "far"))
COUNTED = (*RATES, *TAILS)
# Durations: calls, residuals, their squares. Counted: calls, hits, hits expected of the stable version meanwhile.
WIDTH = 3 * (len(DURATIONS) + len(COUNTED))


def place(measure: str) -> int:
    """Return the first of the three columns of a measure."""
    return 3 * (*DURATIONS, *COUNTED).index(measure)


class Since(NamedTuple):
    """Sums of sessions, float[k, rows], each row from one of its epochs on: it counts for starts in (`after`, `until`]."""

    sums: Floats
    after: Ints
    until: Ints


class Sums:
    """Rows that grow. `names`: (session, language) texts by number; a session has one number per arm."""

    def __init__(self) -> None:
        self.sessions: dict[tuple[bool, str], int] = {}
        self.languages: dict[str, int] = {}
        self._rows: dict[tuple[int, int, int], int] = {}
        self._of: tuple[list[int], list[int]] = ([], [])  # rows of the stable version, of the candidate
        self._keys = np.zeros((256, 3), np.int64)  # session, language, epoch
        self._values = np.zeros((256, WIDTH))
        self._candidate = np.zeros(256, np.bool_)  # per session
        self._levels = np.zeros((256, 2 * len(DURATIONS)))  # per session: calls and residuals, over all epochs

    def session(self, candidate: bool, name: str) -> int:
        """Return the number of a session, a new one when it has none."""
        number = self.sessions.get((candidate, name))
        if number is None:
            number = self.sessions[candidate, name] = len(self.sessions)
            if number == len(self._candidate):
                self._candidate, self._levels = _doubled(self._candidate), _doubled(self._levels)
            self._candidate[number] = candidate
        return number

    def language(self, name: str) -> int:
        """Return the number of a language, a new one when it has none."""
        return self.languages.setdefault(name, len(self.languages))

    def rows(self, sessions: Ints, languages: Ints, epoch: int) -> Ints:
        """Return the rows of these calls, new ones where there are none."""
        keys = zip(sessions.tolist(), languages.tolist(), strict=True)
        return np.fromiter((self._row(session, language, epoch) for session, language in keys), np.int64, len(sessions))

    def add(self, rows: Ints, values: Floats) -> None:
        """Add one line of WIDTH values per call."""
        np.add.at(self._values, rows, values)

    def levels(self, measure: int, sessions: Ints) -> tuple[Floats, Floats]:
        """Return calls and sum of residuals so far of the sessions of these calls."""
        return self._levels[sessions, 2 * measure], self._levels[sessions, 2 * measure + 1]

    def raise_levels(self, measure: int, sessions: Ints, residuals: Floats) -> None:
        """Count residuals towards the levels of their sessions."""
        np.add.at(self._levels[:, 2 * measure], sessions, 1.0)
        np.add.at(self._levels[:, 2 * measure + 1], sessions, residuals)

    @property
    def count(self) -> tuple[int, int]:
        """Sessions seen: stable, candidate."""
        candidates = int(self._candidate[: len(self.sessions)].sum())
        return len(self.sessions) - candidates, candidates

    def table(self, candidate: bool) -> tuple[Ints, Floats]:
        """Return keys (session, language, epoch) and values of one arm."""
        rows = np.array(self._of[candidate], np.int64)
        return self._keys[rows], self._values[rows]

    def merge(self, other: "Sums") -> None:
        """Add what another has seen."""
        sessions = [self.session(*key) for key in other.sessions]
        languages = [self.language(name) for name in other.languages]
        for (session, language, epoch), row in other._rows.items():
            mine = self._row(sessions[session], languages[language], epoch)
            self._values[mine] += other._values[row]
        for theirs, number in enumerate(sessions):
            self._levels[number] += other._levels[theirs]

    def to_plain(self) -> dict[str, Any]:
        """Return everything as lists and numbers."""
        size, sessions = len(self._rows), len(self.sessions)
        return {
            "sessions": [[int(candidate), name] for candidate, name in self.sessions],
            "languages": list(self.languages),
            "keys": self._keys[:size].tolist(),
            "values": self._values[:size].tolist(),
            "levels": self._levels[:sessions].tolist(),
        }

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> "Sums":
        """Build from what `to_plain` returned."""
        sums = cls()
        for candidate, name in plain["sessions"]:
            sums.session(bool(candidate), name)
        for name in plain["languages"]:
            sums.language(name)
        for key, values in zip(plain["keys"], plain["values"], strict=True):
            sums._values[sums._row(*key)] = values
        for number, levels in enumerate(plain["levels"]):
            sums._levels[number] = levels
        return sums

    def _row(self, session: int, language: int, epoch: int) -> int:
        key = (session, language, epoch)
        row = self._rows.get(key)
        if row is None:
            row = self._rows[key] = len(self._rows)
            if row == len(self._values):
                self._keys, self._values = _doubled(self._keys), _doubled(self._values)
            self._keys[row] = key
            self._of[bool(self._candidate[session])].append(row)
        return row


def _doubled(array: Any) -> Any:
    return np.concatenate([array, np.zeros_like(array)])


def since(keys: Ints, values: Floats) -> Since:
    """Return the sums of each session from its first epoch on, from its second on, and so forth.

    Args:
        keys: int[n, 3], as `Sums.table` returns them.
        values: float[n, k].
    """
    order = np.lexsort((keys[:, 2], keys[:, 0]))
    sessions, epochs, ordered = keys[order, 0], keys[order, 2], values[order]
    new = np.ones(len(order), np.bool_)
    new[1:] = (np.diff(sessions) != 0) | (np.diff(epochs) != 0)  # several languages make one row
    firsts = np.flatnonzero(new)
    sessions, epochs = sessions[firsts], epochs[firsts]
    ordered = np.add.reduceat(ordered, firsts, axis=0) if len(firsts) else ordered
    tails = np.concatenate([ordered[::-1].cumsum(axis=0)[::-1], np.zeros((1, values.shape[1]))])
    ends = np.searchsorted(sessions, sessions, side="right")
    after = np.full(len(firsts), -1)
    same = np.flatnonzero(np.diff(sessions) == 0) + 1
    after[same] = epochs[same - 1]
    return Since((tails[:-1] - tails[ends]).T, after, epochs)


def per_start(values: Floats, rows: Since, epochs: int) -> Floats:
    """Add up one value per row for each start, float[epochs]."""
    earlier = rows.after >= 0
    ends = np.bincount(rows.until, weights=values, minlength=epochs)
    ends = ends - np.bincount(rows.after[earlier], weights=values[earlier], minlength=epochs)
    totals: Floats = ends[::-1].cumsum()[::-1]
    return totals
