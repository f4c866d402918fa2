"""Settings of the simulated provider: speed, length, tools and faults, all reproducible from a seed."""

from enum import StrEnum
from math import exp
from random import Random
from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeInt, model_validator

from twospeed.types import Settings
from twospeed.units import Count, Duration, Fraction, PositiveCount

Spread = Annotated[float, Field(ge=0, le=3)]


class FaultKind(StrEnum):
    """How a simulated provider fails. "After k events" counts every event of a stream; the first carries no content."""

    REFUSE = "refuse"  # the connection is refused
    HANG = "hang"  # accepted, never answered
    SLOW = "slow"  # the first token is late by `delay`
    STALL = "stall"  # quiet after k events
    RESET = "reset"  # connection reset after k events, 0: before the head
    TRUNCATE = "truncate"  # connection closed after k events, in the middle of the body
    UNFINISHED = "unfinished"  # body ended properly after k events, without a finish
    MALFORMED = "malformed"  # invalid JSON after k events, or as the whole body
    BAD_CHUNK = "bad_chunk"  # invalid chunk framing after k events
    ERROR_EVENT = "error_event"  # an error event after k events, or an error body under status 200
    NO_DONE = "no_done"  # finish reason, but no [DONE]
    EMPTY = "empty"  # status 200 and nothing
    WRONG_TYPE = "wrong_type"  # status 200 and a page of HTML
    HTML = "html"  # an error status with a page of HTML
    HTTP = "http"  # an error answer with `status`
    HTTP_400 = "http_400"
    HTTP_401 = "http_401"
    HTTP_403 = "http_403"
    HTTP_404 = "http_404"
    HTTP_408 = "http_408"
    HTTP_409 = "http_409"
    HTTP_413 = "http_413"
    HTTP_422 = "http_422"
    HTTP_429 = "http_429"
    HTTP_500 = "http_500"
    HTTP_502 = "http_502"
    HTTP_503 = "http_503"
    HTTP_504 = "http_504"
    HTTP_529 = "http_529"


class FaultRule(Settings):
    """`providers.<name>.simulate.faults[]`: one way to fail, and how often.

    >>> FaultRule(kind="stall", share="5%", after_events=10).share
    0.05
    """

    kind: FaultKind
    """How to fail."""
    share: Fraction = 1.0
    """Share of requests that fail this way, 100%: all."""
    after_events: Count = 3
    """Events that still come through before the fault; the first event of a stream carries no content."""
    status: Annotated[int, Field(ge=400, le=599)] | None = None
    """Status for kinds http (default 500) and html (default 502)."""
    retry_after: Duration | None = None
    """Retry-After of an error answer; left out: 1s for 429, none for the others."""
    delay: Duration = 0.0
    """How much later than usual an answer or its fault begins; kind slow needs it."""

    @model_validator(mode="after")
    def _slow_has_delay(self) -> Self:
        if self.kind is FaultKind.SLOW and not self.delay:
            raise ValueError("kind slow needs a delay, for example delay: 5s")
        return self


class Latency(Settings):
    """A log-normal distribution of durations."""

    median: Duration = 0.15
    """Half of all are faster."""
    spread: Spread = 0.3
    """Sigma of the logarithm: 0 is constant, with 0.3 nineteen in twenty lie between 0.55 and 1.8 times the median."""

    def draw(self, chance: Random) -> float:
        """Return one duration in seconds."""
        return self.median * exp(chance.gauss(0.0, self.spread))


class Length(Settings):
    """A log-normal distribution of lengths."""

    median: PositiveCount = 120
    """Half of all are shorter, in tokens."""
    spread: Spread = 0.5
    """Sigma of the logarithm: 0 is constant, with 0.5 nineteen in twenty lie between 0.37 and 2.7 times the median."""

    def draw(self, chance: Random) -> int:
        """Return one length in tokens, at least 1."""
        return max(1, round(self.median * exp(chance.gauss(0.0, self.spread))))


class Simulation(Settings):
    """`providers.<name>.simulate`: how a simulated provider answers."""

    first_token: Latency = Latency()
    """Time from the request to the first token; a stream's head comes at once."""
    tokens_per_second: Annotated[float, Field(gt=0)] = 100.0
    """Speed after the first token, mean over one answer."""
    jitter: Spread = 0.3
    """Spread of the gaps between tokens, sigma of the logarithm; 0 is an even pace."""
    tokens_per_event: PositiveCount = 1
    """Tokens in one event of a stream."""
    output_tokens: Length = Length()
    """Length of an answer in free text; max_tokens of the request still holds."""
    seed: NonNegativeInt = 0
    """The same seed, provider name and request number give the same answer, timing and fault."""
    faults: list[FaultRule] = []
    """Ways to fail, each for its share of requests; at most one per request."""
    tools: Literal["auto", "never"] = "auto"
    """Whether tools are called: auto calls one harmless tool per user turn, then answers in text."""

    @model_validator(mode="after")
    def _shares_fit(self) -> Self:
        total = sum(rule.share for rule in self.faults)
        if total > 1.000001:
            raise ValueError(f"the shares of faults add up to {total:.0%}, more than all requests")
        return self
