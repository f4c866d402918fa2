"""Retry budget: retries may be at most a share of a provider's recent requests, so that trouble is not multiplied (R5).

It covers retries on the same provider and fallbacks onto one that is failing itself. A fallback to a healthy backend
costs nothing, so a spare may take the whole load. Kept per process: what each process holds to, all of them hold to.

Source: Google SRE book, "Handling overload"; floor as in Envoy's retry budgets.
"""

from twospeed.types import Settings
from twospeed.units import Count, Fraction, PositiveDuration

SLICES = 10  # the window moves on in steps of a tenth


class Budget(Settings):
    """`budget`: how many attempts may be repeats. As it stands 20% of the requests of the last 10 s, and 3 always.

    >>> Budget(share=0.2, floor=3).allows(requests=100, retries=19)
    True
    """

    share: Fraction = 0.2
    """Repeats per request, over the window."""
    floor: Count = 3
    """Always allowed within the window, so that quiet systems can retry."""
    window: PositiveDuration = 10.0
    """How far back requests and repeats are counted."""

    def allows(self, requests: int, retries: int) -> bool:
        """Say whether one more repeat fits.

        Args:
            requests: First attempts in the window, all outcomes.
            retries: Repeats in the same window, this one not counted.
        """
        return retries < max(self.floor, self.share * requests)


class Spending:
    """What one provider's requests and repeats were lately. No clock: `now` in seconds, never decreasing."""

    __slots__ = ("_budget", "_newest", "_place", "_requests", "_retries", "_until")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._newest = self._place = 0  # slice under way: its number, and where it is counted
        self._until = 0.0
        self._requests = [0] * SLICES
        self._retries = [0] * SLICES

    def asked(self, now: float) -> None:
        """Count a first attempt."""
        if now >= self._until:
            self._roll(now)
        self._requests[self._place] += 1

    def again(self, now: float) -> bool:
        """Count a repeat if the budget allows it; False: it does not, and nothing was counted."""
        if now >= self._until:
            self._roll(now)
        if not self._budget.allows(sum(self._requests), sum(self._retries)):
            return False
        self._retries[self._place] += 1
        return True

    def _roll(self, now: float) -> None:
        """Begin a slice, and forget what has left the window."""
        window = self._budget.window
        index = int(now * SLICES / window)
        for step in range(min(SLICES, index - self._newest)):
            self._requests[(index - step) % SLICES] = self._retries[(index - step) % SLICES] = 0
        self._newest = max(index, self._newest)
        self._place = self._newest % SLICES
        self._until = (self._newest + 1) * window / SLICES
