"""What a judge is told: one finished request, and a block of them as columns."""

import math
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

Arm = Literal["stable", "candidate"]
Rates = Literal["error_rate", "tool_call_invalid_rate", "refusal_rate", "stall_rate"]
RATES: tuple[Rates, ...] = ("error_rate", "tool_call_invalid_rate", "refusal_rate", "stall_rate")
DURATIONS = ("latency", "ttft")
UNKNOWN = math.nan


class Observation(msgspec.Struct, frozen=True, gc=False):
    """One finished request. Only `ts`, `session` and `arm` are needed; what is not known is None.

    `ts`: seconds, any origin. Durations in milliseconds; they count for requests that were `ok`, and for those of which
    nothing is said. `stall`: the stream stood still beyond what its tier allows.
    """

    ts: float
    session: str | int
    arm: Arm
    latency_ms: float | None = None
    ttft_ms: float | None = None
    ok: bool | None = None
    output_tokens: float | None = None
    prompt_tokens: float | None = None
    language: str | None = None
    repo: str | None = None
    refusal: bool | None = None
    tool_call_valid: bool | None = None
    stall: bool | None = None


class Block(msgspec.Struct):
    """Observations that were made at about the same time, as columns of equal length.

    `sessions`, `languages`: numbers given by the judge. `durations`: natural logarithms, NaN where unknown, order of
    DURATIONS. `prompts`: the same of prompt tokens. `hits`: 1 bad, 0 good, NaN unknown, order of RATES.
    """

    sessions: Ints
    languages: Ints
    candidate: Bools
    durations: Floats  # float[2, n]
    prompts: Floats
    hits: Floats  # float[4, n]


def logarithm(value: float | None) -> float:
    """Return the natural logarithm of a positive number, NaN for what is none.

    >>> logarithm(1.0), logarithm(None), logarithm(-3.0)
    (0.0, nan, nan)
    """
    return math.log(value) if value is not None and 0.0 < value < math.inf else UNKNOWN


def hits_of(observation: Observation) -> tuple[float, float, float, float]:
    """Return what went wrong in one request, in the order of RATES: 1 bad, 0 good, NaN unknown."""
    return (
        _bad(None if observation.ok is None else not observation.ok),
        _bad(None if observation.tool_call_valid is None else not observation.tool_call_valid),
        _bad(observation.refusal),
        _bad(observation.stall),
    )


def _bad(value: bool | None) -> float:
    return UNKNOWN if value is None else float(value)
