"""A server that copies requests, without anybody who runs the rollout: its phase and share are set by hand."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from tempfile import TemporaryDirectory
from textwrap import dedent

from tests.serving import Serving, serving

from twospeed.policy.arms import Arms, Offers
from twospeed.policy.held import Held, plain
from twospeed.policy.pairing import Pair
from twospeed.policy.rollout import Phase, State
from twospeed.policy.shadow import Books

CONFIG = dedent("""
    listen: {port: 0}
    providers:
      old: {kind: simulated, models: {m: {}}, limits: {m: {rpm: 1000, concurrency: 50}}, simulate: &quick {first_token: {median: 1ms}, tokens_per_second: 100000}}
      new: {kind: simulated, models: {m: {}}, limits: {m: {rpm: 1000, concurrency: 50}}, simulate: *quick}
      other: {kind: simulated, models: {m: {}}, simulate: *quick}
    models: {coder: [old/m], plain: [other/m]}
    tiers:
      fast: {models: [old/m], timeouts: &short {connect: 200ms, first_token: 300ms, idle: 300ms, total: 1s}}
      deep: {models: [other/m], timeouts: *short}
    rollouts:
      - id: r
        target: {alias: coder, stable: old/m, candidate: new/m}
        gates: [{shadow: {fraction: 100%, pairs: 5}}]
        guard: [{metric: latency}, {metric: error_rate}, {metric: tool_call_invalid_rate}]
""")


class Shadowing(Serving):
    """A running server whose rollout `r` is in its shadow phase."""

    pairs: list[Pair]

    @property
    def mirror(self):
        """What copies."""
        return self.server.api.runtime.mirror

    @property
    def books(self) -> Books:
        """What was counted."""
        return self.mirror.books

    @property
    def candidate(self):
        """How the candidate is reached by copies, with its counters."""
        return self.mirror._twins["r"].link.transport

    def phase(self, phase: Phase, step: int = -1) -> None:
        """Put the rollout into a phase."""
        runtime = self.server.api.runtime
        rollout = runtime.loaded.config.rollouts[0]
        state = State("r", tuple(rollout.steps), True, phase, step)
        held = Held(state, 1, 0.0, 0.0, plain(rollout))
        runtime.proxy.arms = Arms(
            runtime.loaded.config.rollouts, {"r": held}, runtime.catalogue, Offers(), runtime.memory.affinity
        )

    async def until(self, done: Callable[[], object]) -> None:
        """Wait until something is so, for 10 s at most."""
        async with asyncio.timeout(10):
            while not done():
                await asyncio.sleep(0.005)

    async def settled(self, copies: int) -> None:
        """Wait until so many copies have come to their end, compared or dropped."""
        books = self.books
        await self.until(lambda: sum(books.compared.values()) + sum(books.dropped.values()) >= copies)


@asynccontextmanager
async def shadowing(text: str = CONFIG, share: float = 1.0) -> AsyncIterator[Shadowing]:
    """Serve with copies for a candidate."""
    with TemporaryDirectory() as folder:
        async with _shadowing(text, share, {"TWOSPEED_STATE_DIR": folder}) as running:
            yield running


@asynccontextmanager
async def _shadowing(text: str, share: float, env: dict[str, str]) -> AsyncIterator[Shadowing]:
    async with serving(text, env) as running:
        running.__class__ = Shadowing
        running.pairs = []
        running.phase(Phase.SHADOW)
        running.books.shares["r"] = share
        running.books.pairs = running.pairs.append
        yield running
