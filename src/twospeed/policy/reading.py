"""Read instructions and remember what they came to: each call of an agent loop sends the same one again.

What is remembered depends on nothing but what it is found by: an ask on what is read of its message, the score on the
ask and the stage of the run. So an answer is the same with and without memory. What is read is found by a 64-bit keyed
hash and its length, and is not kept itself; of an ask, the bounded text and code are.
"""

from collections.abc import Sequence
from functools import lru_cache

import msgspec
import numpy as np
from numpy.typing import NDArray

from twospeed.policy.content import Parts
from twospeed.policy.features import measure_ask, placed
from twospeed.policy.instruction import Ask, read_ask, separate
from twospeed.policy.learned import Learned
from twospeed.policy.stage import Stage
from twospeed.types import Conversation

REMEMBERED = 512  # instructions, at most about 10 KB each


class Reader:
    """Separates and scores requests, with a memory of REMEMBERED instructions, the least recently used forgotten first."""

    def __init__(self, learned: Learned) -> None:
        self._learned = learned
        self._asks: dict[tuple[int, int], Ask] = {}
        self._known = lru_cache(REMEMBERED)(self._weighed)

    def ask(self, conversation: Conversation, opened: Sequence[Parts]) -> Ask:
        """Return what `separate` returns."""
        return separate(conversation, opened, self._recalled)

    def score(self, ask: Ask, stage: Stage) -> tuple[float, float]:
        """Return P(deep) in 0..1 and the expected gain in -1..1."""
        known = self._known(ask)
        if known.answer is None or known.stage != stage:
            known.stage, known.answer = stage, self._learned.combine(placed(known.dense, stage), known.words)
        return known.answer

    def _recalled(self, pieces: Sequence[bytes]) -> Ask:
        key = hash(tuple(pieces)), sum(map(len, pieces))
        ask = self._asks.pop(key, None)
        if ask is None:
            ask = read_ask(pieces)
            if len(self._asks) >= REMEMBERED:
                del self._asks[next(iter(self._asks))]
        self._asks[key] = ask
        return ask

    def _weighed(self, ask: Ask) -> "_Known":
        measures = measure_ask(ask)
        return _Known(measures.dense, self._learned.weigh(measures))


class _Known(msgspec.Struct):
    """An ask measured, the weight of its words, and its answer at the stage it was last asked for."""

    dense: NDArray[np.uint8]
    words: complex
    stage: Stage | None = None
    answer: tuple[float, float] | None = None
