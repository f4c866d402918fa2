"""How one serving process takes part in rollouts: it serves by the states it is told and says what it saw.

Task: `run`, owned by whoever serves.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from twospeed.control.sightings import Sightings
from twospeed.policy.arms import Arms, Offers
from twospeed.policy.held import Held
from twospeed.runtime import Runtime

REPORT_EVERY, LOOK_EVERY = 0.2, 1.0  # seconds: while a rollout has a say, and while none has

Report = Callable[[Sequence[bytes]], None]


class Arming:
    """One serving process. `sightings`: a sink."""

    def __init__(self) -> None:
        self.sightings = Sightings()
        self._offers = Offers()
        self._held: Mapping[str, Held] = {}
        self._armed = False

    def follow(self, held: Mapping[str, Held], runtime: Runtime) -> None:
        """Serve by these states from the next request on; what waits for a version taken back goes elsewhere at once."""
        self._held = held
        self.arm(runtime)

    def arm(self, runtime: Runtime) -> None:
        """Let a snapshot serve by the states there are."""
        config = runtime.loaded.config
        arms = Arms(config.rollouts, self._held, runtime.catalogue, self._offers, runtime.memory.affinity)
        runtime.proxy.arms = arms if arms else None
        self._armed = bool(arms)

    async def run(self, report: Report) -> None:
        """Say what was seen, again and again, until cancelled."""
        while True:
            await asyncio.sleep(REPORT_EVERY if self._armed else LOOK_EVERY)
            while seen := self.sightings.take():
                report(seen)
                await asyncio.sleep(0)
