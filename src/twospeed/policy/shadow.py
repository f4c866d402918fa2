"""Shadow: copies of requests for a candidate, what they may use, and what their pairs say.

A copy is nobody's answer: it may be dropped at any time, and its budget is its own. The judge of pairs is sequential:
it may be asked after every pair, and a candidate within what the guards accept is refused with a chance of at most
a quarter of `false_rollback_rate`, however often one asks.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal

import msgspec
from pydantic import Field

from twospeed.policy.criteria import Criterion
from twospeed.policy.judge.paired import Paired, PairedRate
from twospeed.policy.pairing import Pair, Side
from twospeed.policy.rollout import Rollout
from twospeed.types import Settings
from twospeed.units import PositiveCount, Size

_unpacked = msgspec.msgpack.Decoder(Pair).decode

DAY = 86_400.0
WHOLE = ""  # the part of a criterion that is about all languages
MEASURED = 0.5  # share of the pairs in which a duration must have been measured before it is believed to be fine
MOST_LANGUAGES = 40
PART = 0.25  # of a step's rate of false alarms: what is refused here has not yet been seen in earnest

# Why a copy was not made, or came to nothing, in the order of docs/rollouts.md.
DROPPED = (
    *("stateful", "acts", "scope", "memory", "busy", "rpm", "tokens", "cost", "client", "unserved", "elsewhere"),
    *("limited", "too_large", "unreadable", "stopped"),
)


class Shadow(Settings):
    """`shadow`: what copies of requests may use. Without a rollout that wants some none are made.

    As it stands a process holds at most 32 MB of requests and answers for copies, and 8 copies under way at once with at most
    8 MiB each of what the candidate answers.
    """

    concurrency: PositiveCount = 8
    """Copies under way at once in each process; those that come on top are dropped."""
    rpm: PositiveCount = 600
    """Copies in any 60 s, of all that share the limits. None of them counts in the limits of a provider."""
    tokens_per_day: PositiveCount = 20_000_000
    """Tokens of copies in a day (UTC), in and out together; the workers of a host have equal parts of it."""
    cost_per_day: Annotated[float, Field(gt=0)] | None = None
    """US dollars that copies may cost in a day (UTC), by the candidate's `price`; left out: only tokens count."""
    memory: Size = 32_000_000
    """Bytes of requests and answers that a process keeps for copies; a request beyond it is not copied."""


class Purse:
    """What copies have used today. Args: parts: processes that share the budget."""

    def __init__(self, parts: int = 1) -> None:
        self.parts = parts
        self.tokens = 0
        self.cost = 0.0
        self._day = -1.0

    def empty(self, settings: Shadow, wall: float) -> Literal["tokens", "cost"] | None:
        """Say what is used up today. Args: wall: seconds since the epoch."""
        self._turn(wall)
        if self.tokens * self.parts >= settings.tokens_per_day:
            return "tokens"
        if settings.cost_per_day is not None and self.cost * self.parts >= settings.cost_per_day:
            return "cost"
        return None

    def spend(self, tokens: int, cost: float, wall: float) -> None:
        """Count one copy."""
        self._turn(wall)
        self.tokens += tokens
        self.cost += cost

    def _turn(self, wall: float) -> None:
        day = wall // DAY
        if day != self._day:
            self._day, self.tokens, self.cost = day, 0, 0.0


def _nobody(pair: Pair) -> None:
    return


class Books(msgspec.Struct):
    """What outlives a configuration snapshot: who wants copies, who hears of pairs, and what was counted.

    `shares`: share of requests to copy, by rollout; whoever runs rollouts sets it. `pairs` hears of each comparison and
    must neither block nor raise. Counts are by rollout, by reason, by rollout and kind of fault, by rollout and what differed.
    `under_way`: copies sent and not yet answered. `held`: bytes kept for copies now.
    """

    shares: dict[str, float] = msgspec.field(default_factory=dict)
    pairs: Callable[[Pair], None] = _nobody
    purse: Purse = msgspec.field(default_factory=Purse)
    sent: Counter[str] = msgspec.field(default_factory=Counter)
    dropped: Counter[str] = msgspec.field(default_factory=Counter)
    compared: Counter[str] = msgspec.field(default_factory=Counter)
    faults: Counter[tuple[str, str]] = msgspec.field(default_factory=Counter)
    differed: Counter[tuple[str, str]] = msgspec.field(default_factory=Counter)
    tokens: Counter[str] = msgspec.field(default_factory=Counter)
    under_way: int = 0
    held: int = 0


class ShadowVerdict(msgspec.Struct, frozen=True):
    """What the pairs say. `pairs`: those in which the stable version answered. `reason`: for people."""

    outcome: Literal["waiting", "confirmed", "refused"]
    pairs: int
    reason: str


class Part(msgspec.Struct):
    """One test: a criterion, for all languages (WHOLE) or for one."""

    criterion: Criterion
    language: str
    test: Paired | PairedRate


class ShadowJudge:
    """Judges a candidate by pairs, by the guards of its rollout.

    The rate of false alarms is shared by the guards equally; with `by: language` half of a guard's part is for all
    languages together and the other half for each by itself, in the order in which they come.
    """

    def __init__(self, rollout: Rollout) -> None:
        self._rollout = rollout
        self._alpha = PART * rollout.false_rollback_rate / len(rollout.guard)
        self._needed = rollout.shadow.pairs if rollout.shadow else 0
        self._languages: list[str] = []
        self._parts = [Part(one, WHOLE, self._test(one, 0.5 if one.by else 1.0)) for one in rollout.guard]
        self.pairs = 0
        self.differed: Counter[str] = Counter()

    def observe(self, pair: Pair | bytes) -> None:
        """Take one pair, as it is or as MessagePack."""
        if isinstance(pair, bytes):
            pair = _unpacked(pair)
        if pair.stable.ok:
            self.pairs += 1
        self.differed.update(pair.differs())
        for part in self._concerned(pair.language):
            _observe(part, pair)

    def verdict(self) -> ShadowVerdict:
        """Say what is known now."""
        worse = [_said(part) for part in self._parts if part.test.worse]
        if worse:
            return ShadowVerdict("refused", self.pairs, "; ".join(worse))
        if self.pairs < self._needed:
            return ShadowVerdict("waiting", self.pairs, f"{self.pairs} of {self._needed} pairs")
        blind = [part.criterion.metric for part in self._parts if self._blind(part)]
        if blind:
            return ShadowVerdict("waiting", self.pairs, f"cannot measure {', '.join(dict.fromkeys(blind))}")
        return ShadowVerdict("confirmed", self.pairs, f"not found worse in {self.pairs} pairs")

    def to_plain(self) -> dict[str, Any]:
        """Return everything as lists, numbers and texts."""
        return {
            "pairs": self.pairs,
            "differed": dict(self.differed),
            "languages": self._languages,
            "parts": [part.test.to_plain() for part in self._parts],
        }

    def load(self, plain: dict[str, Any]) -> None:
        """Take over what `to_plain` returned."""
        self.pairs = plain["pairs"]
        self.differed = Counter(plain["differed"])
        for language in plain["languages"]:
            self._meet(language)
        for part, said in zip(self._parts, plain["parts"], strict=True):
            part.test.load(said)

    def _concerned(self, language: str) -> Iterator[Part]:
        if language and language not in self._languages and len(self._languages) < MOST_LANGUAGES:
            self._meet(language)
        return (part for part in self._parts if part.language in (WHOLE, language))

    def _meet(self, language: str) -> None:
        self._languages.append(language)
        place = len(self._languages)
        share = 0.5 / (place * (place + 1))  # sums to a half however many come
        self._parts += [Part(one, language, self._test(one, share)) for one in self._rollout.guard if one.by]

    def _test(self, criterion: Criterion, share: float) -> Paired | PairedRate:
        alpha = self._alpha * share
        return PairedRate(alpha) if criterion.is_rate else Paired(criterion.accepted, criterion.found_at, alpha)

    def _blind(self, part: Part) -> bool:
        """First tokens are not asked of traffic without streams."""
        test = part.test
        if not isinstance(test, Paired) or part.language:
            return False
        return test.pairs < MEASURED * self._needed and not (part.criterion.metric == "ttft_p95" and not test.pairs)


def _observe(part: Part, pair: Pair) -> None:
    stable, candidate, test = pair.stable, pair.candidate, part.test
    if isinstance(test, PairedRate):
        test.observe(_bad(part.criterion, stable), _bad(part.criterion, candidate))
        return
    durations = [_duration(part.criterion, side) for side in (stable, candidate)]
    if durations[0] and durations[1]:
        test.observe(math.log(durations[1] / durations[0]))


def _duration(criterion: Criterion, side: Side) -> float | None:
    if not side.ok:
        return None
    return side.first_token if criterion.metric == "ttft_p95" else side.latency


def _bad(criterion: Criterion, side: Side) -> bool:
    match criterion.metric:
        case "error_rate":
            return not side.ok
        case "tool_call_invalid_rate":
            return side.tool_call_valid is False
        case "refusal_rate":
            return side.refusal
        case _:
            return side.stall


def _said(part: Part) -> str:
    where = f" in {part.language}" if part.language else ""
    if isinstance(part.test, PairedRate):
        stable, candidate = part.test.alone
        return f"{part.criterion.metric}{where}: {candidate} requests failed on the candidate alone, {stable} on the stable"
    return f"{part.criterion.metric}{where}: {part.test.ratio:.2f} times the stable version's, {part.test.pairs} pairs"


def judge(rollout: Rollout) -> ShadowJudge:
    """Begin to judge the pairs of one attempt of a rollout."""
    return ShadowJudge(rollout)
