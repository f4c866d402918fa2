"""`twospeed serve --workers 2`: one port, one admin listener, one limit; workers come and go."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from tests.edge.test_berth import SPEAKS
from tests.openmetrics import parse
from tests.processes import Process, running
from tests.serving import TWO_FAST

from twospeed.config import read
from twospeed.edge import supervise
from twospeed.edge.supervise import Supervisor

CONFIG = """
listen: {port: 0, workers: 2}
admin: {port: 0, key: env:ADMIN}
reload: {watch: false}
providers:
  one: {kind: simulated, models: {m: {}}, limits: {m: {rpm: 40}},
        simulate: {first_token: {median: 1ms}, tokens_per_second: 40, output_tokens: {median: 20}}}
tiers: {fast: {models: [one/m]}, deep: {models: [one/m]}}
"""
KEY = {"x-admin-key": "k"}
BODY = {"model": "fast", "max_tokens": 1, "messages": [{"role": "user", "content": "hi"}]}


class Running:
    """A fleet in a process of its own."""

    def __init__(self, process: Process, file: Path, http: aiohttp.ClientSession, url: str, admin: str) -> None:
        self.process, self.file, self.http, self.url, self.admin = process, file, http, url, admin

    async def chat(self, **more: object) -> int:
        """Ask on a connection of its own, which may lead to any worker."""
        headers = {"connection": "close"}
        async with self.http.post(f"{self.url}/chat/completions", json=BODY | more, headers=headers) as answer:
            await answer.read()
            return answer.status

    async def status(self) -> dict:
        async with self.http.get(f"{self.admin}/admin/status") as answer:
            return await answer.json()

    async def count(self, family: str) -> float:
        async with self.http.get(f"{self.admin}/metrics") as answer:
            families = parse(await answer.text(), open_metrics=False)
        return sum(sample.value for sample in families[family].samples) if family in families else 0.0

    async def until(self, happened: Callable[[dict], object]) -> dict:
        """Ask for the status until it is so."""
        async with asyncio.timeout(20):
            while not happened(status := await self.status()):
                await asyncio.sleep(0.02)
        return status


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[Running]:
    """Two workers on a free port."""
    file = tmp_path / "c.yaml"
    file.write_text(CONFIG)
    async with running("serve", "--config", str(file), ADMIN="k") as process, aiohttp.ClientSession() as http:
        url = (await process.until(r"serves (\S+)"))[1]
        admin = (await process.until(r"admin: (\S+)/metrics"))[1]
        yield Running(process, file, http, url, admin)


def all_serve(status: dict) -> bool:
    """Whether every worker says that it serves."""
    return all(worker["state"] == "serving" for worker in status["workers"])


def both_busy(status: dict) -> bool:
    """Whether every worker has a client."""
    return all(worker["requests"]["connections"] for worker in status["workers"])


async def test_a_killed_worker_comes_back_and_is_not_missed(fleet: Running):
    """Both serve under one limit and are counted together; when one is killed the other goes on, and nothing is lost."""
    fleet_limit = 40
    streams = []
    async with asyncio.timeout(20):
        while not both_busy(status := await fleet.status()):
            streams.append(
                await fleet.http.post(f"{fleet.url}/chat/completions", json=BODY | {"stream": True, "max_tokens": 500})
            )
    killed, other = status["workers"]
    assert status["requests"]["in_flight"] == len(streams)
    assert await fleet.count("twospeed_workers") == 2
    for stream in streams:
        stream.close()
    await fleet.until(lambda status: not status["requests"]["in_flight"])
    before = await fleet.count("twospeed_requests_total")
    assert before == len(streams)

    os.kill(killed["pid"], signal.SIGKILL)
    await fleet.process.until("worker 0 was killed by SIGKILL")
    assert await fleet.chat() == 200
    assert await fleet.count("twospeed_requests_total") >= before + 1
    status = await fleet.until(lambda status: all_serve(status) and status["workers"][0]["restarts"])
    assert status["workers"][0]["pid"] != killed["pid"]
    assert status["workers"][1]["pid"] == other["pid"]

    answers = [await fleet.chat() for _ in range(fleet_limit)]
    assert answers.count(200) == fleet_limit - len(streams) - 1
    assert await fleet.count("twospeed_limit_refused_total") == answers.count(429) > 0


async def test_a_reload_is_for_all_or_for_none(fleet: Running):
    """Asked for by signal or by the admin listener; who starts later serves what the others do, whatever the file says."""
    fleet.file.write_text(CONFIG + "models: {mine: one/m}\n")
    async with fleet.http.post(f"{fleet.admin}/admin/reload", headers=KEY) as answer:
        assert answer.status == 200
    versions = {worker["config"] for worker in (await fleet.status())["workers"]}
    assert len(versions) == 1
    assert [await fleet.chat(model="mine") for _ in range(6)] == [200] * 6

    fleet.file.write_text("tiers: 3\n")
    fleet.process.process.send_signal(signal.SIGHUP)
    await fleet.process.until("stays in force")
    os.kill((await fleet.status())["workers"][1]["pid"], signal.SIGKILL)
    await fleet.process.until("worker 1 serves again")
    assert {worker["config"] for worker in (await fleet.status())["workers"]} == versions
    async with fleet.http.get(f"{fleet.admin}/admin/config") as answer:
        assert (await answer.json())["version"] in versions
    assert await fleet.count("twospeed_config_reloads_total") == 2


async def test_sigterm_drains_every_worker(fleet: Running):
    """Streams in flight on all workers come to their end, the last counts are in, and all exit 0."""
    streams = [
        await fleet.http.post(f"{fleet.url}/chat/completions", json=BODY | {"stream": True, "max_tokens": 15})
        for _ in range(6)
    ]
    fleet.process.process.send_signal(signal.SIGTERM)
    bodies = [await stream.read() for stream in streams]
    assert all(body.endswith(b"data: [DONE]\n\n") for body in bodies)
    assert await fleet.process.ended() == 0
    assert "gone" not in fleet.process.said


def folder_of(worker: int) -> str:
    """Where a worker finds what it shares with the others."""
    command = Path(f"/proc/{worker}/cmdline").read_text().split("\0")
    return command[command.index("--crew") + 1]


async def test_workers_without_a_supervisor_end(fleet: Running):
    """Killed with no time to say so, it leaves no worker and no file behind."""
    workers = [worker["pid"] for worker in (await fleet.status())["workers"]]
    folder = folder_of(workers[0])
    assert os.path.exists(folder)  # noqa: ASYNC240
    fleet.process.process.kill()
    await fleet.process.ended()  # its workers write to the same pipe: it ends with them
    assert fleet.process.said.count("the supervisor is gone") == 2
    assert not os.path.exists(folder)  # noqa: ASYNC240


STUCK = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nsay(0, 'ready', b'')\nwhile True:\n    hear()\n"
POLITE = "say(0, 'ready', b'')\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\nwhile True:\n    hear()\n"


@asynccontextmanager
async def supervised(script: str) -> AsyncIterator[tuple[Supervisor, asyncio.Task[bool], asyncio.Event]]:
    """A supervisor of two small programs, in this process."""
    loaded = read(
        f"admin: {{port: 0}}\n{TWO_FAST.replace('{port: 0}', '{port: 0, drain: 1ms}', 1)}".encode(), "c.yaml", {}
    )
    started = asyncio.Event()
    supervisor = Supervisor(
        lambda: loaded, loaded, 2, lambda *given: [sys.executable, "-c", SPEAKS + script, str(given[-1])]
    )
    task = asyncio.create_task(supervisor.run(lambda *_: started.set()))
    try:
        yield supervisor, task, started
    finally:
        supervisor.stop()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize(("script", "good"), [(POLITE, True), (STUCK, False)])
async def test_who_does_not_drain_is_killed_and_that_is_told(script: str, good: bool, monkeypatch, caplog):
    """The exit code says whether every worker came to its own end."""
    monkeypatch.setattr(supervise, "GRACE", 10.0 if good else 0.05)
    async with asyncio.timeout(20), supervised(script) as (supervisor, task, started):
        await started.wait()
        supervisor.stop()
        assert await task is good
    assert ("did not drain in time and is killed" in caplog.text) is not good


async def test_a_worker_that_cannot_start_ends_the_start(caplog):
    """Nobody is told that it serves, and the others are not left behind."""
    async with asyncio.timeout(20), supervised("sys.exit(1)") as (supervisor, task, started):
        assert await task is False
        assert not started.is_set()
    assert [berth.pid for berth in supervisor.berths] == [None, None]
    assert "not started" in caplog.text
