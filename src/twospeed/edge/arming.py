"""How one serving process takes part in rollouts: it serves by the states it is told and says what it saw.

Task: `run`, owned by whoever serves.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from twospeed.control.sightings import Sightings
from twospeed.policy.arms import Arms, Offers
from twospeed.policy.flags import Flag, Flags, combined
from twospeed.policy.held import Held, settled
from twospeed.policy.pairing import Pair
from twospeed.policy.rollout import FLAGS, Phase
from twospeed.runtime import Runtime
from twospeed.telemetry.instruments import ROLLOUT_LOST, ROLLOUT_REQUESTS, ROLLOUT_SHARE
from twospeed.telemetry.metrics import Reading

REPORT_EVERY, LOOK_EVERY = 0.2, 1.0  # seconds: while a rollout has a say, and while none has

Report = Callable[[Sequence[bytes]], None]


class Arming:
    """One serving process. `sightings`: a sink."""

    def __init__(self) -> None:
        self.sightings = Sightings()
        self._offers = Offers()
        self._held: Mapping[str, Held] = {}
        self._flags: Mapping[str, Any] = {}
        self._armed = False

    def follow(self, held: Mapping[str, Held], runtime: Runtime) -> None:
        """Serve by these states from the next request on; what waits for a version taken back goes elsewhere at once."""
        self._held = {name: one for name, one in held.items() if name != FLAGS}
        self._flags = held[FLAGS].settings if FLAGS in held else {}
        self.arm(runtime)

    def arm(self, runtime: Runtime) -> None:
        """Let a snapshot serve by the states there are."""
        config = runtime.loaded.config
        arms = Arms(config.rollouts, self._held, runtime.catalogue, self._offers, runtime.memory.affinity)
        runtime.proxy.arms = arms if arms else None
        self._armed = bool(arms)
        set_by_hand = {name: Flag.model_validate(flag) for name, flag in self._flags.items()}
        flags = Flags(combined(config.flags, set_by_hand))
        runtime.proxy.flags = flags if flags else None
        books = runtime.mirror.books
        books.shares = dict(_shadows(self._held, [rollout.id for rollout in config.rollouts]))
        books.pairs = self._paired

    def readings(self) -> Iterator[Reading]:
        """Say how many requests each arm has had, and how large the candidate's share is."""
        for labels, count in self.sightings.counts.items():
            yield Reading(ROLLOUT_REQUESTS, labels, count)
        for name, held in self._held.items():
            yield Reading(ROLLOUT_SHARE, (name,), held.state.share)
        yield Reading(ROLLOUT_LOST, (), self.sightings.dropped)

    def _paired(self, pair: Pair) -> None:
        held = self._held.get(pair.rollout)
        if held is not None:
            self.sightings.paired(pair.rollout, held.state.attempt, held.state.step, msgspec.msgpack.encode(pair))

    async def run(self, report: Report) -> None:
        """Say what was seen, again and again, until cancelled."""
        while True:
            await asyncio.sleep(REPORT_EVERY if self._armed else LOOK_EVERY)
            while seen := self.sightings.take():
                report(seen)
                await asyncio.sleep(0)


def _shadows(held: Mapping[str, Held], named: Sequence[str]) -> Iterator[tuple[str, float]]:
    """Return the share of requests that each rollout wants copied now."""
    for name, one in held.items():
        gate = settled(one).shadow if one.state.phase is Phase.SHADOW and name in named else None
        if gate is not None:
            yield name, gate.fraction
