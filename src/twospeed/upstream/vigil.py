"""Shows the store every few seconds that long requests are still under way, so that none loses its slot (R20).

Only requests under a concurrency limit are kept; one timer serves them all, and there is none while there are none. It
belongs to the requests, not to a configuration snapshot: one that was replaced keeps watch until its last one has ended.
"""

import asyncio
from collections.abc import Callable

from twospeed.policy.limit import LEASE, Limits, Permit

EVERY = LEASE / 5  # seconds

Later = Callable[[float, Callable[[], None]], object]


def _later(delay: float, call: Callable[[], None]) -> object:
    return asyncio.get_running_loop().call_later(delay, call)


class Vigil:
    """Keeps the slots of requests under way.

    Args:
        later: Calls something after so many seconds.
    """

    __slots__ = ("_kept", "_later", "_limits", "_set")

    def __init__(self, limits: Limits, later: Later = _later) -> None:
        self._limits = limits
        self._later = later
        self._kept: dict[str, Permit] = {}
        self._set = False

    def begin(self, permit: Permit) -> None:
        """Watch over a request from its admission on."""
        self._kept[permit.id] = permit
        if not self._set:
            self._set = True
            self._later(EVERY, self._touch)

    def end(self, permit: Permit) -> None:
        """Forget it; nothing when it was never watched."""
        self._kept.pop(permit.id, None)

    def _touch(self) -> None:
        for permit in self._kept.values():
            self._limits.touch(permit)
        self._set = bool(self._kept)
        if self._set:
            self._later(EVERY, self._touch)
