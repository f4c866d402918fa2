"""Decide the tier of one request: constraints first, then marks, then where an agent run stands, then the score.

Constraints (window, images) hold whatever the score says. Everything else is judged anew for each call, so that a
session goes up when its run is in trouble and comes down again afterwards.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

from pydantic import Field, model_validator

from twospeed.policy import marks
from twospeed.policy.content import Parts, open_all
from twospeed.policy.learned import Learned, load
from twospeed.policy.reading import Known, Reader
from twospeed.policy.stage import Stage, stage
from twospeed.types import Conversation, Settings, Tier, Verdict
from twospeed.units import Fraction, PositiveCount

BYTES_PER_TOKEN = 3.6  # of code and JSON escapes, on the careful side
_HIGH = frozenset(("high", "xhigh", "max"))
_LOW = frozenset(("none", "minimal", "low"))
_COMPLETIONS = ("completions", "fim/completions", "beta/completions")
REMEMBERED = 64  # spellings of endpoints

STEP = 0.0005  # of the score, per request


class Target(Settings):
    """`classify.target`: where the line between the tiers is drawn; give one, or none for the line the model advises."""

    threshold: Fraction | None = None
    """Deep from this score on."""
    deep_share: Fraction | None = None
    """Share of the requests that goes deep, those with a reason of their own included; begins with the line that gives
    this share of the traffic the model was calibrated on, and follows the traffic it meets as `adapt` says."""
    quality: Fraction | None = None
    """Part of the quality gap between the tiers to recover, with as little deep traffic as that takes."""
    adapt: Fraction = 0.15
    """With `deep_share`: how far the line may move from where it began, slowly, so that the share is met; 0: not at all."""

    @model_validator(mode="after")
    def _one(self) -> "Target":
        if sum(v is not None for v in (self.threshold, self.deep_share, self.quality)) > 1:
            raise ValueError("give one of threshold, deep_share and quality")
        return self


class LowConfidence(Settings):
    """`classify.low_confidence`: what to do with scores close to the line."""

    band: Fraction
    """Half width of the band around the line."""
    tier: Literal["fast", "deep"] = "deep"
    """Where such requests go."""


class Classify(Settings):
    """`classify`: how `model: auto` chooses a tier."""

    fast_context: PositiveCount = 128_000
    """Tokens the fast tier can read; larger requests go deep."""
    fast_images: bool = False
    """The fast tier can read images; else requests with images go deep."""
    mode: Literal["decide", "observe"] = "decide"
    """observe: a client that asks for a model gets that model, and what auto would have decided is only recorded; requests
    for `auto` itself are decided. For trying out routing on live traffic."""
    effort: bool = True
    """A high reasoning effort asked for by the client means deep; a low one leans fast."""
    target: Target = Field(default_factory=Target)
    """Where the line between the tiers is drawn."""
    low_confidence: LowConfidence | None = None
    """What to do close to the line; absent: nothing special."""
    effort_lean: Fraction = 0.15
    """How far a low effort moves the line up."""


class _Ruling(NamedTuple):
    tier: Tier
    reason: str
    score: float


class Classifier:
    """Decides requests. Loads its weights once; what it keeps between requests saves time and changes no verdict.

    `line`: score from which requests go deep; stays at `first_line` unless `adapt` is called.
    """

    def __init__(self, settings: Classify, learned: Learned | None = None) -> None:
        self.settings = settings
        self.learned = learned or load()
        self.line = self.first_line = _line(settings.target, self.learned)
        self.reader = Reader(self.learned)
        target = settings.target
        self._share = target.deep_share if target.adapt else None
        self._lowest, self._highest = self.line - target.adapt, self.line + target.adapt

    def adapt(self, tier: Tier) -> None:
        """Move the line a little towards the share that is wanted, after a request was given `tier`.

        Source: stochastic approximation of a quantile (Robbins and Monro, 1951). A share that is off by ten points moves
        the line by 0.05 within a thousand requests.
        """
        if self._share is not None:
            line = self.line + STEP * ((tier == "deep") - self._share)
            self.line = min(self._highest, max(self._lowest, line))

    def classify(self, conversation: Conversation) -> Verdict:
        """Return the tier with its reasons, most decisive first."""
        opened = open_all(conversation.messages)
        facts = stage(conversation, opened)
        constraint = self._constraint(conversation, opened)
        if constraint:
            return Verdict("deep", (constraint, *_notes(conversation, facts)), 1.0, 1.0)
        known = self.reader.known(conversation, opened)
        ruling = self._ruling(conversation, facts, known)
        if ruling:
            gain = 0.0 if ruling.tier == "fast" else None
            reasons = tuple(dict.fromkeys((ruling.reason, *_notes(conversation, facts))))
            return Verdict(ruling.tier, reasons, ruling.score, gain)
        score, gain = self.reader.score(known, facts)
        return self._by_score(conversation, facts, score, gain)

    def _constraint(self, conversation: Conversation, opened: Sequence[Parts]) -> str:
        if conversation.body_bytes > self.settings.fast_context * BYTES_PER_TOKEN:
            return "context:beyond_fast"
        if not self.settings.fast_images and marks.has_image(opened):
            return "images"
        return ""

    def _ruling(self, conversation: Conversation, facts: Stage, known: Known) -> _Ruling | None:
        system = marks.system_marks(conversation)
        if _completes(conversation.endpoint):
            return _Ruling("fast", "completion", 0.01)
        if known.small == "side_call" or marks.side_call(conversation, system, known.ask.text):
            return _Ruling("fast", "side_call", 0.02)
        if known.small:
            return _Ruling("fast", known.small, 0.02)
        if conversation.effort in _HIGH and self.settings.effort:
            return _Ruling("deep", f"effort:{conversation.effort}", 0.98)
        if marks.plan_mode(conversation, system):
            return _Ruling("deep", "plan_mode", 0.95)
        if facts.phase in ("spinning", "failing"):
            return _Ruling("deep", f"agent:{facts.phase}", 0.95)
        if marks.read_only_agent(conversation.tools, system):
            return _Ruling("fast", "sub_agent:read_only", 0.05)
        return None

    def _by_score(self, conversation: Conversation, facts: Stage, score: float, gain: float) -> Verdict:
        line, notes = self.line, _notes(conversation, facts)
        if conversation.effort in _LOW and self.settings.effort:
            line += self.settings.effort_lean
            notes = (f"effort:{conversation.effort}", *notes)
        unsure = self.settings.low_confidence
        if unsure is not None and abs(score - line) < unsure.band:
            return Verdict(unsure.tier, ("low_confidence", *notes), score, gain)
        if score >= line:
            return Verdict("deep", ("score:high", *notes), score, gain)
        return Verdict("fast", ("score:low", *notes), score, gain)


@lru_cache(REMEMBERED)
def _completes(endpoint: str) -> bool:
    return endpoint.removeprefix("/v1").lstrip("/") in _COMPLETIONS


def _notes(conversation: Conversation, facts: Stage) -> tuple[str, ...]:
    """Facts worth a word next to the deciding reason."""
    notes = (f"tools:{len(conversation.tools)}",) if conversation.tools else ()
    return notes if facts.phase == "none" else (f"agent:{facts.phase}", *notes)


def _line(target: Target, learned: Learned) -> float:
    if target.threshold is not None:
        return target.threshold
    if target.deep_share is not None:
        return float(learned.shares[round(100 * (1.0 - target.deep_share))])
    if target.quality is not None:
        share = next((k for k, q in enumerate(learned.quality) if q >= target.quality), 100)
        return float(learned.shares[100 - share])
    return learned.advised
