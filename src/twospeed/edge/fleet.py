"""Answers for several serving processes: their counts added up, their states side by side.

A worker that does not answer in time delays nobody: its counts are those it told last, its state is that it is silent.
"""

import asyncio
import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from twospeed import __version__
from twospeed.config import Loaded
from twospeed.edge.berth import Berth
from twospeed.edge.channel import PIN
from twospeed.edge.delivery import Delivery
from twospeed.edge.status import shown
from twospeed.policy.catalogue import Catalogue
from twospeed.telemetry.exposition import render
from twospeed.telemetry.instruments import CPU, MEMORY, RELOADS, RESTARTS
from twospeed.telemetry.snapshot import Point, Snapshot, merge
from twospeed.telemetry.watches import process

if TYPE_CHECKING:
    from twospeed.edge.supervise import Supervisor

PATIENCE = 1.0  # seconds for a worker to answer
_OWN = (CPU.name, MEMORY.name)  # what the supervisor itself adds


class Fleet:
    """The desk of a supervisor."""

    def __init__(self, supervisor: "Supervisor") -> None:
        self._supervisor = supervisor
        self._began = time.monotonic()
        self.delivery = Delivery(supervisor.rollouts, supervisor.ledger)
        self._process = process()

    async def metrics(self, accept: str) -> tuple[str, bytes]:
        """Return content type and body for a scraper."""
        berths = self._supervisor.berths
        await self.delivery.drill()
        await asyncio.gather(*(berth.count(PATIENCE) for berth in berths))
        return render(merge([self._own(), *(one for berth in berths for one in berth.counts())]), accept)

    async def status(self) -> dict[str, Any]:
        """Say what goes on: of all together, then of each worker."""
        supervisor = self._supervisor
        berths = supervisor.berths
        answers = await asyncio.gather(*(berth.status(PATIENCE) for berth in berths))
        heard = [answer for answer in answers if answer]
        return {
            "state": "draining" if supervisor.draining else "serving",
            "uptime": round(time.monotonic() - self._began, 3),
            "version": __version__,
            "pid": os.getpid(),
            "now": round(time.time(), 3),
            **together(heard),
            "reloads": supervisor.reloads.counts,
            **await self.delivery.summary(),
            "workers": [_line(berth, answer) for berth, answer in zip(berths, answers, strict=True)],
        }

    async def config(self) -> dict[str, Any]:
        """Show the configuration in force, secrets masked."""
        loaded = self._supervisor.loaded
        return {"path": loaded.path, "version": loaded.version, "config": shown(loaded.config)}

    async def reload(self) -> str:
        """Read the configuration anew; return what is wrong with it, "" when it is in force."""
        return await self._supervisor.reload()

    def waiting(self) -> list[str]:
        """Name the keys in force that only a restart brings into force."""
        return self._supervisor.reloads.waiting

    def loaded(self) -> Loaded:
        """Return the configuration in force."""
        return self._supervisor.loaded

    def catalogue(self) -> Catalogue:
        """Return the names in force."""
        return self._supervisor.loaded.catalogue

    async def pin(self, session: str, to: str, seconds: float) -> bool:
        """Send a session to a tier or backend: one worker notes it where all of them, and the other hosts, see it."""
        for berth in self._supervisor.berths:
            if await berth.ask(PIN, msgspec.msgpack.encode((session, to, seconds)), PATIENCE) is not None:
                return True
        return False

    def _own(self) -> Snapshot:
        snapshot = {
            reading.instrument.name: [Point(reading.labels, reading.value)]
            for reading in self._process()
            if reading.instrument.name in _OWN
        }
        counts = self._supervisor.reloads.counts
        return {
            **snapshot,
            **{reading.instrument.name: [Point((), reading.value)] for reading in self.delivery.readings()},
            RELOADS.name: [Point((outcome,), count) for outcome, count in counts.items()],
            RESTARTS.name: [Point((), sum(berth.restarts for berth in self._supervisor.berths))],
        }


def together(said: list[dict[str, Any]]) -> dict[str, Any]:
    """Make one status of those of several workers.

    What they share is taken from the first; requests and telemetry are added up; of limits the fullest view counts; the
    store is well when it is for all.
    """
    if not said:
        return {}
    first = said[0]
    stores = [one["store"] for one in said]
    return {
        **{key: first[key] for key in ("semconv", "config", "tiers", "backends", "left_out", "line")},
        "limits": list(_fullest(said)),
        "store": {"name": first["store"]["name"], "ok": all(store["ok"] for store in stores)},
        "requests": _sum([one["requests"] for one in said]),
        "telemetry": {
            signal: _sum([one["telemetry"][signal] for one in said if signal in one["telemetry"]])
            for signal in first["telemetry"]
        },
    }


def _fullest(said: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    levels: dict[tuple[str, str], dict[str, Any]] = {}
    for level in (level for one in said for level in one["limits"]):
        key = (level["pool"], level["dimension"])
        if key not in levels or levels[key]["used"] < level["used"]:
            levels[key] = level
    return iter([levels[key] for key in sorted(levels)])


def _sum(counts: list[dict[str, int]]) -> dict[str, int]:
    return {name: sum(one[name] for one in counts) for name in counts[0]}


def _line(berth: Berth, answer: dict[str, Any] | None) -> dict[str, Any]:
    """Say of one worker what differs between workers."""
    line: dict[str, Any] = {"worker": berth.number, "pid": berth.pid, "restarts": berth.restarts}
    if answer is None:
        return {**line, "state": "silent" if berth.pid else "dead"}
    own = {key: answer[key] for key in ("state", "uptime", "requests", "store")}
    return {**line, **own, "config": answer["config"]["version"]}
