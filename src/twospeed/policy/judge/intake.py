"""Intake: observations become sums. A block of the same minutes is closed, compared with its own stable calls, forgotten.

observe -> waiting -> block (50 stable calls, or five minutes) -> centred residuals and hits -> Sums
"""

import math
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from twospeed.policy.judge.centre import Centred, centre
from twospeed.policy.judge.observation import (
    DURATIONS,
    RATES,
    UNKNOWN,
    Block,
    Bools,
    Floats,
    Observation,
    hits_of,
    logarithm,
)
from twospeed.policy.judge.slope import Slope
from twospeed.policy.judge.sums import TAILS, WIDTH, Sums, place
from twospeed.policy.judge.tail import Tail, beyond
from twospeed.policy.judge.trouble import Quiet, Trouble

STABLE_CALLS, FEW_CALLS = 50, 15  # stable calls that make a block, and that make one that has waited for LONG
SHORTEST, LONG, LONGEST = 20.0, 300.0, 3600.0  # seconds of one block
COMPARABLE = 3  # stable calls of a block without which what is counted has nothing to be compared with
MOST = 600  # calls of one block
LEAP = 3600.0  # seconds: a clock that jumps ahead further is believed when a second observation agrees
SHRINK = 2.0  # calls' worth of doubt about the level of a session
PRIOR, DOUBT = 0.5, 50.0  # hits and calls' worth of caution where little is known of the expected rate
RECENT = 600.0  # stable calls over which the expected rate is averaged
LANGUAGE_LETTERS, MOST_LANGUAGES = 40, 64

Reading = tuple[float, ...]  # session, language, candidate, latency, first token, prompt, hits in the order of RATES


class Quantiles(msgspec.Struct, frozen=True):
    """What the tail of a duration is judged at: `share` of calls below, `tolerance` of what lies beyond."""

    share: float
    tolerance: float


class Intake:
    """Everything seen so far. `now`: latest time seen; `epoch`: seconds of one.

    `dropped`: candidate calls without stable ones to compare with; `troubled`: candidate calls during trouble.
    """

    def __init__(self, epoch: float, tails: Mapping[str, Quantiles], by_language: bool = False) -> None:
        self.epoch = epoch
        self.sums = Sums()
        self.trouble = Trouble()
        self.began: float | None = None
        self.now = -math.inf
        self.calls = [0, 0]  # stable, candidate
        self.dropped = self.troubled = self.blocks = 0
        self._tails = tails
        self._by_language = by_language
        self._slopes = [Slope() for _ in DURATIONS]
        self._tail = {name: Tail() for name in TAILS}
        self._scales = [0.0, 0.0]
        self._recent = np.zeros((len(RATES) + len(TAILS), 2))  # calls, hits of the stable version lately
        self._waiting: list[Reading] = []
        self._stable_waiting = 0
        self._opened = -math.inf
        self._leap: float | None = None

    def observe(self, seen: Observation) -> bool:
        """Take one observation; True when a block was closed, so that there is something new to judge."""
        self._advance(seen.ts)
        candidate = seen.arm == "candidate"
        self.calls[candidate] += 1
        session = self.sums.session(candidate, str(seen.session))
        language = self.sums.language(self._language(seen))
        hits = hits_of(seen)
        latency, ttft = (UNKNOWN, UNKNOWN) if hits[0] == 1.0 else (logarithm(seen.latency_ms), logarithm(seen.ttft_ms))
        if not self._waiting:
            self._opened = self.now
        self._waiting.append((session, language, candidate, latency, ttft, logarithm(seen.prompt_tokens), *hits))
        self._stable_waiting += not candidate
        if not self.due(self.now):
            return False
        self.close()
        return True

    def _language(self, seen: Observation) -> str:
        if not self._by_language or not seen.language:
            return ""
        name = seen.language[:LANGUAGE_LETTERS].lower()
        return name if name in self.sums.languages or len(self.sums.languages) < MOST_LANGUAGES else "other"

    def due(self, now: float) -> bool:
        """Say whether the block under way is complete."""
        age, calls = now - self._opened, len(self._waiting)
        enough = self._stable_waiting >= STABLE_CALLS and age >= SHORTEST
        waited = age >= LONG and self._stable_waiting >= FEW_CALLS
        return enough or waited or calls >= MOST or (calls > 0 and age >= LONGEST)

    def close(self) -> None:
        """Judge the block under way as it is."""
        if not self._waiting:
            return
        columns = np.array(self._waiting, dtype=np.float64).T
        block = Block(
            columns[0].astype(np.int64),
            columns[1].astype(np.int64),
            columns[2] == 1.0,
            columns[3:5],
            columns[5],
            columns[6:10],
        )
        self._waiting, self._stable_waiting = [], 0
        self._take(block)
        self.blocks += 1

    def epochs(self) -> int:
        """Return how many epochs have begun."""
        return 1 if self.began is None else int((self.now - self.began) / self.epoch) + 1

    def merge(self, other: "Intake") -> None:
        """Add what another has seen of the same step. Epochs are counted from the earlier beginning of the two."""
        other.close()
        self.close()
        self.sums.merge(other.sums)
        self.began = min((began for began in (self.began, other.began) if began is not None), default=None)
        self.now = max(self.now, other.now)
        self.calls = [mine + theirs for mine, theirs in zip(self.calls, other.calls, strict=True)]
        self.dropped, self.troubled = self.dropped + other.dropped, self.troubled + other.troubled
        self.blocks += other.blocks
        for mine, theirs in zip(self._slopes, other._slopes, strict=True):
            mine.merge(theirs)
        for name, tail in self._tail.items():
            tail.merge(other._tail[name])
        self._recent = self._recent + other._recent
        self.trouble = other.trouble if self.trouble.since is None else self.trouble

    def to_plain(self) -> dict[str, Any]:
        """Return everything as lists, numbers and texts."""
        return {
            "began": self.began,
            "now": self.now if math.isfinite(self.now) else None,
            "counts": [*self.calls, self.dropped, self.troubled, self.blocks],
            "sums": self.sums.to_plain(),
            "trouble": self.trouble.to_plain(),
            "slopes": [slope.to_plain() for slope in self._slopes],
            "tails": {name: tail.to_plain() for name, tail in self._tail.items()},
            "scales": self._scales,
            "recent": self._recent.tolist(),
            "waiting": [[None if value != value else value for value in reading] for reading in self._waiting],
            "opened": self._opened if math.isfinite(self._opened) else None,
        }

    def load(self, plain: dict[str, Any]) -> None:
        """Take over what `to_plain` returned."""
        self.began = plain["began"]
        self.now = -math.inf if plain["now"] is None else plain["now"]
        *self.calls, self.dropped, self.troubled, self.blocks = plain["counts"]
        self.sums = Sums.from_plain(plain["sums"])
        self.trouble = Trouble.from_plain(plain["trouble"])
        self._slopes = [Slope.from_plain(slope) for slope in plain["slopes"]]
        self._tail = {name: Tail.from_plain(plain["tails"][name]) for name in TAILS}
        self._scales = list(plain["scales"])
        self._recent = np.array(plain["recent"])
        self._waiting = [
            tuple(UNKNOWN if value is None else value for value in reading) for reading in plain["waiting"]
        ]
        self._stable_waiting = sum(not reading[2] for reading in self._waiting)
        self._opened = -math.inf if plain["opened"] is None else plain["opened"]

    def _advance(self, ts: float) -> None:
        if self.began is None:
            self.began = self.now = ts
        elif ts <= self.now:
            self._leap = None
        elif ts <= self.now + LEAP or (self._leap is not None and ts >= self._leap - LEAP):
            self.now, self._leap = ts, None
        else:
            self._leap = ts

    def _take(self, block: Block) -> None:
        stable = ~block.candidate
        features = [slope.features(block.prompts) for slope in self._slopes]
        found = [self._centred(measure, block, features[measure]) for measure in range(len(DURATIONS))]
        errors = block.hits[0][stable]
        level = found[0].level if found[0] else None
        quiet = Quiet(self.now, float(np.isfinite(errors).sum()), float(np.nansum(errors)), level)
        troubled = self.trouble.sees(quiet)
        values = np.zeros((len(block.sessions), WIDTH))
        for measure, centred in enumerate(found):
            if centred is not None:
                self._duration(measure, block, centred, features[measure], values, troubled)
        self.troubled += int(block.candidate.sum()) if troubled else 0
        if not (troubled and self.trouble.failing):
            for number, name in enumerate(RATES):
                self._count(number, place(name), block.hits[number], block.candidate, values)
        if found[0] is None:
            self.dropped += int((block.candidate & np.isfinite(block.durations[0])).sum())
        rows = self.sums.rows(block.sessions, block.languages, self.epochs() - 1)
        self.sums.add(rows, values)

    def _centred(self, measure: int, block: Block, features: Floats) -> Centred | None:
        explained = self._slopes[measure].expected(features)
        return centre(block.durations[measure] - explained, block.candidate, block.sessions, self._scales[measure])

    def _duration(
        self, measure: int, block: Block, centred: Centred, features: Floats, values: Floats, troubled: bool
    ) -> None:
        """Fill the columns of one duration and of its tails, and learn from the stable calls."""
        known, residuals = centred.known, centred.residuals
        column, sessions = 3 * measure, block.sessions[known]
        values[known, column] = 1.0
        values[known, column + 1] = residuals
        values[known, column + 2] = residuals**2
        calls, sums = self.sums.levels(measure, sessions)
        slips = residuals - sums / (calls + SHRINK)
        self.sums.raise_levels(measure, sessions, residuals)
        if troubled:  # what both arms share has cancelled, but nothing is learned from an exception
            return
        for kind, measured in (("slip", slips), ("far", residuals)):
            self._tail_of(f"{DURATIONS[measure]}_{kind}", measured, known, block.candidate, values)
        before = self._scales[measure]
        self._scales[measure] = 0.95 * before + 0.05 * centred.scale if before else centred.scale
        these = np.flatnonzero(known & ~block.candidate)
        self._slopes[measure].learn(block.prompts[these], features[:, these], block.durations[measure][these])

    def _tail_of(self, name: str, residuals: Floats, known: Bools, candidate: Bools, values: Floats) -> None:
        settings = self._tails.get(name.partition("_")[0])
        if settings is None:
            return
        tail = self._tail[name]
        quantile = tail.quantile(settings.share)
        if quantile is not None:
            hits = np.full(len(known), np.nan)
            hits[known] = beyond(residuals, quantile, settings.tolerance)
            self._count(len(RATES) + TAILS.index(name), place(name), hits, candidate, values)
        tail.learn(residuals[~candidate[known]])

    def _count(self, number: int, column: int, hits: Floats, candidate: Bools, values: Floats) -> None:
        """Fill the columns of something counted, with what the stable version did lately."""
        known = np.isfinite(hits)
        stable = known & ~candidate
        if stable.sum() < COMPARABLE:
            return
        kept = math.exp(-float(stable.sum()) / RECENT)
        self._recent[number] = self._recent[number] * kept + (stable.sum(), hits[stable].sum())
        calls, bad = self._recent[number] + (0.0, PRIOR)
        values[known, column] = 1.0
        values[known, column + 1] = hits[known]
        values[known, column + 2] = bad / (calls + DOUBT)
