"""Whole servers with a rollout, in the test's own loop, looked after as `serve` does."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from tests.serving import Serving, serving
from twospeed.policy.rollout import Phase, Signal

QUICK = "first_token: {median: 1ms}, tokens_per_second: 100000, output_tokens: {median: 3}"
TEXT = """
listen: {port: 0}
%(stores)s
providers:
  old: {kind: simulated, models: {m: {}}, simulate: {%(quick)s}}
  new: {kind: simulated, models: {m: {}}, simulate: {%(new)s}}
models: {coder: old/m}
tiers:
  fast: {models: [old/m]}
  deep: {models: [old/m], timeouts: {connect: 1s, first_token: 10s, idle: 10s, total: 20s}}
rollouts:
  - id: r
    target: {alias: coder, stable: old/m, candidate: new/m}
    steps: [%(steps)s]
    bake: {min: %(bake)s, max: 1h, min_sessions: 5}
    guard: [{metric: error_rate, slack: 5pp}]
%(more)s
"""


def text(new: str = QUICK, steps: str = "50%, 100%", bake: str = "10m", more: str = "", stores: str = "") -> str:
    """A configuration with one rollout; `new`: how the candidate answers."""
    return TEXT % {"quick": QUICK, "new": new, "steps": steps, "bake": bake, "more": more, "stores": stores}


class Rolling:
    """A server with a rollout."""

    def __init__(self, server: Serving) -> None:
        self.server = server
        self.rollouts = server.server.rollouts
        self.tasks: list[asyncio.Task[None]] = []

    @property
    def phase(self) -> Phase:
        """Where the rollout stands."""
        return self.rollouts.held["r"].state.phase

    async def act(self, signal: Signal) -> None:
        """Give a signal."""
        await self.rollouts.people.act("r", signal, "ann", "a test")

    async def ask(self, session: object, **body: object) -> tuple[int, str, str]:
        """Ask once: status, arm, provider."""
        headers = {"x-session-id": str(session)}
        answer = await self.server.chat(model="coder", headers=headers, **body)
        await answer.read()
        provider = answer.headers["x-twospeed-backend"].partition("/")[0]
        return answer.status, answer.headers.get("x-twospeed-arm", ""), provider

    async def until(self, happened: Callable[[], object]) -> None:
        """Wait until something is so."""
        async with asyncio.timeout(20):
            while not happened():
                await asyncio.sleep(0.01)

    async def asked_until(self, happened: Callable[[], object], at_once: int = 20) -> list[tuple[int, str, str]]:
        """Ask for new sessions, some at once, until something is so; all answers."""
        answers: list[tuple[int, str, str]] = []
        async with asyncio.timeout(30):
            while not happened():
                first = len(answers)
                answers += await asyncio.gather(*(self.ask(f"s{first + number}") for number in range(at_once)))
        return answers


@asynccontextmanager
async def rolling(configuration: str, state: object) -> AsyncIterator[Rolling]:
    """Serve it, its rollout begun or as it was left. `state`: a folder."""
    async with serving(configuration, {"TWOSPEED_STATE_DIR": str(state)}) as server:
        one = Rolling(server)
        work = (one.rollouts.run(), server.server.arming.run(one.rollouts.report))
        one.tasks = [asyncio.create_task(some) for some in work]
        try:
            await one.until(lambda: one.rollouts.held)
            yield one
        finally:
            for task in one.tasks:
                task.cancel()
            await asyncio.gather(*one.tasks, return_exceptions=True)
