"""Read instructions and remember what they came to: each call of an agent loop sends the same one again.

What is remembered depends on nothing but what it is found by: an ask on what is read of its message, its marks and
measures on the ask, the score on the ask and the stage of the run. So an answer is the same with and without memory.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from twospeed.policy.content import Parts
from twospeed.policy.features import measure_ask, placed
from twospeed.policy.instruction import Ask, read_ask, separate
from twospeed.policy.learned import Learned
from twospeed.policy.marks import small_work
from twospeed.policy.stage import Stage
from twospeed.types import Conversation

REMEMBERED = 512  # instructions, at most about 20 KB each


class Known(msgspec.Struct):
    """An ask, and what it came to: once it was scored, its measures, the weight of its words, and its last answer."""

    ask: Ask
    small: Literal["", "side_call", "cursor"]
    dense: NDArray[np.uint8] | None = None
    words: complex = 0j
    stage: Stage | None = None
    answer: tuple[float, float] = (0.0, 0.0)


class Reader:
    """Separates and scores requests, with a memory of REMEMBERED instructions, the least recently used forgotten first."""

    def __init__(self, learned: Learned) -> None:
        self._learned = learned
        self._read = lru_cache(REMEMBERED)(read_ask)
        self._known = lru_cache(REMEMBERED)(_known)

    def ask(self, conversation: Conversation, opened: Sequence[Parts]) -> Ask:
        """Return what `separate` returns."""
        return separate(conversation, opened, self._read)

    def known(self, conversation: Conversation, opened: Sequence[Parts]) -> Known:
        """Return the ask of a request with what is known of it."""
        return self._known(separate(conversation, opened, self._read))

    def score(self, known: Known, stage: Stage) -> tuple[float, float]:
        """Return P(deep) in 0..1 and the expected gain in -1..1."""
        if known.stage != stage:
            dense = known.dense
            if dense is None:
                measures = measure_ask(known.ask)
                dense = known.dense = measures.dense
                known.words = self._learned.weigh(measures)
            known.stage, known.answer = stage, self._learned.combine(placed(dense, stage), known.words)
        return known.answer


def _known(ask: Ask) -> Known:
    return Known(ask, small_work(ask.text, ask.code))
