"""A host's rollouts driven by hand: a clock that stands, a shelf in memory, everything that was told kept."""

import msgspec
from tests.policy.judge.traffic import TARGET

from twospeed.control.rollouts import Rollouts
from twospeed.policy.held import Sighting
from twospeed.policy.rollout import Rollout
from twospeed.stores.shelf import FileShelf

SHORT = {"steps": ["30%", "60%", "100%"], "bake": {"min": "30m", "max": "3h", "min_sessions": 20}}


def rollout(**settings):
    """A rollout with a bake short enough for small streams."""
    return Rollout(**({"id": "r", "target": TARGET} | SHORT | settings))


class Host:
    """One host. `now`: its clock, in seconds; `served`: what its processes were told; `entered`: what its ledger was."""

    def __init__(self, *rollouts, shelf=None):
        self.now = 0.0
        self.served, self.entered = [], []
        self.shelf = shelf or FileShelf()
        self.rollouts = Rollouts(self.shelf, self, self._publish, lambda: self.now)
        self.rollouts.configure(rollouts or [rollout()])

    def enter(self, entry, evidence=None):
        """Be the ledger."""
        self.entered.append((entry.event, entry.before, entry.after, entry.actor))

    async def _publish(self, held):
        self.served.append({name: one.state.share for name, one in held.items()})

    async def look(self, now=None):
        """Look once."""
        self.now = self.now if now is None else now
        if not self.rollouts._started:
            await self.rollouts.start()
        await self.rollouts._turn()

    async def see(self, stream, attempt=1, step=0, every=50):
        """Let it see a stream, some at a time, its clock going with it, while it is at that step."""
        stream = list(stream)
        for at in range(0, len(stream), every):
            some = stream[at : at + every]
            if self.held.state.step != step:
                return
            self.rollouts.report([msgspec.msgpack.encode(Sighting("r", attempt, step, seen)) for seen in some])
            await self.look(some[-1].ts)

    @property
    def held(self):
        """The rollout as it stands."""
        return self.rollouts.held["r"]

    @property
    def phase(self):
        """Its phase."""
        return self.held.state.phase
