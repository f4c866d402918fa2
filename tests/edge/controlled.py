"""A controller without traffic, a ledger and an admin listener for both: what operators talk to."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from twospeed.config import read
from twospeed.control.rollouts import Rollouts
from twospeed.edge.admin import Admin
from twospeed.edge.delivery import Delivery
from twospeed.edge.sockets import listening
from twospeed.policy.rollout import Rollout
from twospeed.stores.ledger import Scribe
from twospeed.stores.shelf import FileShelf

KEY = "s3cret"
ANN = {"x-admin-key": KEY}
ROLLOUT = Rollout.model_validate(
    {
        "id": "deep",
        "target": {"alias": "coder", "stable": "sim/old", "candidate": "sim/new"},
        "steps": ["30%", "100%"],
        "bake": {"min": "30m", "max": "3h"},
    }
)


async def unheard(held) -> None:
    """Nobody serves by the rollouts of these tests."""


def idle() -> Rollouts:
    """A controller that is never started, with a ledger that is never written."""
    return Rollouts(FileShelf(), Scribe(Path("/nowhere/ledger.db")), unheard, time.time)


class Desk:
    """A desk that has nothing but rollouts."""

    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery

    def loaded(self):
        text = "tiers: {fast: {models: [s/m]}, deep: {models: [s/m]}}\nproviders: {s: {kind: simulated, models: {m: {}}}}\n"
        return read(f"{text}flags: [{{id: file, set: {{tier: deep}}}}]".encode(), "test.yaml", {})

    def waiting(self):
        return []

    def catalogue(self):
        return self.loaded().catalogue

    async def pin(self, session, to, seconds):
        return False

    async def metrics(self, accept):
        raise NotImplementedError

    async def status(self):
        return {}

    async def config(self):
        return {}

    async def reload(self):
        return ""


class Controlled:
    """`url`: of the admin listener."""

    def __init__(self, rollouts: Rollouts, ledger: Scribe, http: aiohttp.ClientSession, url: str) -> None:
        self.rollouts = rollouts
        self.ledger = ledger
        self.http = http
        self.url = url

    async def ask(self, path: str, method: str = "GET", **options) -> tuple[int, dict, str]:
        """Status, JSON and ETag of an answer."""
        async with self.http.request(method, f"{self.url}{path}", **options) as answer:
            return answer.status, await answer.json(), answer.headers.get("etag", "")

    async def do(self, action: str, reason: str = "why not", **headers: str) -> tuple[int, dict, str]:
        """Give a signal to the rollout."""
        body = {"reason": reason} if reason else None
        return await self.ask(f"/admin/rollouts/deep/{action}", "POST", json=body, headers={**ANN, **headers})


@asynccontextmanager
async def controlled(folder: Path, *rollouts: Rollout) -> AsyncIterator[Controlled]:
    """Run it until the block ends."""

    ledger = Scribe(folder / "ledger.db")
    control = Rollouts(FileShelf(), ledger, unheard, time.time)
    control.configure(rollouts or (ROLLOUT,))
    running = asyncio.create_task(control.run())
    keys = {"ann": hashlib.sha256(KEY.encode()).digest()}
    admin = Admin(Desk(Delivery(control, ledger)), lambda: keys)
    sock = listening("127.0.0.1", 0)
    port = sock.getsockname()[1]
    await admin.start(sock)
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(20)) as http, asyncio.timeout(30):
            while not control.held:
                await asyncio.sleep(0.01)
            yield Controlled(control, ledger, http, f"http://127.0.0.1:{port}")
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await admin.close()
        await ledger.close()


def closed(why: str):
    """A gate that says no."""

    async def preflight(rollout: Rollout) -> str:
        return why

    return preflight
