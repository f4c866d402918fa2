"""Several workers as one: what is added up, what is taken once, who is silent."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.edge.controlled import idle
from tests.openmetrics import parse
from tests.serving import TWO_FAST

from twospeed.config import read
from twospeed.edge.fleet import Fleet, together
from twospeed.stores.ledger import Scribe
from twospeed.telemetry.instruments import REQUESTS, WORKERS
from twospeed.telemetry.snapshot import Point, Snapshot

LABELS = ("fast", "one", "m", "eu", "200")


def said(requests: int, used: int, ok: bool = True) -> dict[str, Any]:
    """What a worker says about itself."""
    return {
        **dict.fromkeys(("semconv", "tiers", "backends", "left_out", "line"), "same"),
        "config": {"version": "v1"},
        "state": "serving",
        "uptime": 1.0,
        "limits": [{"pool": "p/m", "dimension": "rpm", "limit": 10, "used": used, "left": 10 - used}],
        "store": {"name": "redis", "ok": ok},
        "requests": {"in_flight": requests, "connections": 2 * requests},
        "telemetry": {"traces": {"exported": requests, "dropped": 0}},
    }


class Told:
    """A berth whose worker says what the test wants; None: it is silent."""

    def __init__(self, number: int, answer: dict[str, Any] | None, *counts: Snapshot, pid: int | None = 1) -> None:
        self.number, self.restarts, self.pid = number, number, pid
        self.answer, self.told = answer, list(counts)
        self.asked = 0

    async def status(self, timeout: float) -> dict[str, Any] | None:
        return self.answer

    async def count(self, timeout: float) -> None:
        self.asked += 1

    def counts(self) -> list[Snapshot]:
        return self.told


def fleet(*berths: Told) -> Fleet:
    """A desk for those berths."""
    counts = {"ok": 2, "refused": 1}
    loaded = read(f"admin: {{key: 'sha256:{'ab' * 32}'}}\n{TWO_FAST}".encode(), "c.yaml", {})
    supervisor = SimpleNamespace(
        berths=berths, loaded=loaded, draining=False, reloads=SimpleNamespace(counts=counts, waiting=["stores"])
    )
    supervisor.rollouts, supervisor.ledger = idle(), Scribe(Path("/nowhere/ledger.db"))

    async def reload() -> str:
        return "wrong"

    supervisor.reload = reload
    return Fleet(supervisor)


async def test_counts_of_all_workers_are_added_up():
    """The living, the silent and the dead count; reloads are the supervisor's own."""
    live = {REQUESTS.name: [Point(LABELS, 2)], WORKERS.name: [Point((), 1)]}
    berths = [Told(0, None, {REQUESTS.name: [Point(LABELS, 5)]}, live), Told(1, None, {}, live)]
    _, body = await fleet(*berths).metrics("application/openmetrics-text")
    families = parse(body.decode(), open_metrics=True)

    def value(family: str) -> float:
        return sum(sample.value for sample in families[family].samples)

    assert value("twospeed_requests") == 9
    assert value("twospeed_workers") == 2
    assert value("twospeed_config_reloads") == 3
    assert value("twospeed_workers_restarts") == 1
    assert value("twospeed_memory_resident_bytes") > 0
    assert [berth.asked for berth in berths] == [1, 1]


async def test_status_is_of_all_and_of_each():
    """Sums first, then each worker; one that is silent, and one that is dead, say so."""
    berths = [Told(0, said(1, 3)), Told(1, said(2, 4, ok=False)), Told(2, None), Told(3, None, pid=None)]
    status = await fleet(*berths).status()
    assert status["state"] == "serving"
    assert status["requests"] == {"in_flight": 3, "connections": 6}
    assert status["limits"][0]["used"] == 4
    assert status["store"] == {"name": "redis", "ok": False}
    assert status["telemetry"] == {"traces": {"exported": 3, "dropped": 0}}
    assert [worker["state"] for worker in status["workers"]] == ["serving", "serving", "silent", "dead"]
    assert status["workers"][0]["config"] == "v1"


async def test_when_nobody_answers_there_is_still_a_status():
    """The supervisor speaks for itself."""
    status = await fleet(Told(0, None)).status()
    assert status["pid"] > 0
    assert [worker["worker"] for worker in status["workers"]] == [0]
    assert together([]) == {}


@pytest.mark.parametrize("secret", ["ab" * 32])
async def test_configuration_and_reload_are_the_supervisors(secret: str):
    """Shown without secrets; what is wrong with a new one is handed on."""
    desk = fleet()
    assert secret not in repr(await desk.config())
    assert await desk.reload() == "wrong"
    assert desk.waiting() == ["stores"]
