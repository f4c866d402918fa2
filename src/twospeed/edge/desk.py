"""Answers for one serving process: what `/metrics`, `/admin/status` and `/admin/config` show, and the reload."""

import asyncio
import time
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

from twospeed.config import Loaded
from twospeed.edge.delivery import Delivery
from twospeed.edge.status import shown, status
from twospeed.policy.catalogue import Catalogue
from twospeed.seats import Seats
from twospeed.telemetry.exposition import render
from twospeed.telemetry.instruments import (
    CONFIG,
    CONNECTIONS,
    HANDSHAKES,
    IN_FLIGHT,
    LINE,
    RELOADS,
    RESTARTS,
    STORE_ALONE,
    STORE_UP,
    TASKS,
    TIER_IN_FLIGHT,
    TIER_REFUSED,
    TIER_WAITING,
)
from twospeed.telemetry.metrics import Reading
from twospeed.telemetry.watches import breakers, limits, shadows

if TYPE_CHECKING:
    from twospeed.edge.serve import Server


class OneProcess:
    """The desk of one serving process."""

    def __init__(self, server: "Server") -> None:
        self._server = server
        self._began = time.monotonic()
        self.delivery = Delivery(server.rollouts, server.ledger)
        server.reporting.metrics.watch(self._readings)

    async def metrics(self, accept: str) -> tuple[str, bytes]:
        """Return content type and body for a scraper."""
        await self.delivery.drill()
        return render(self._server.reporting.metrics.snapshot(), accept)

    async def status(self) -> dict[str, Any]:
        """Say what goes on."""
        server = self._server
        runtime = server.api.runtime
        return {
            "state": "draining" if server.api.draining else "serving",
            "uptime": round(time.monotonic() - self._began, 3),
            **status(runtime.loaded, runtime.memory),
            "line": {"now": runtime.classifier.line, "first": runtime.classifier.first_line},
            "requests": {"in_flight": server.http.in_flight, "connections": server.http.connections},
            "reloads": server.reloads.counts,
            **await self.delivery.summary(),
            "telemetry": server.reporting.signals(),
        }

    async def config(self) -> dict[str, Any]:
        """Show the configuration in force, secrets masked."""
        loaded = self._server.api.runtime.loaded
        return {"path": loaded.path, "version": loaded.version, "config": shown(loaded.config)}

    async def reload(self) -> str:
        """Read the configuration anew; return what is wrong with it, "" when it is in force."""
        return self._server.reload()

    def waiting(self) -> list[str]:
        """Name the keys in force that only a restart brings into force."""
        return self._server.reloads.waiting

    def loaded(self) -> Loaded:
        """Return the configuration in force."""
        return self._server.api.runtime.loaded

    def catalogue(self) -> Catalogue:
        """Return the names in force."""
        return self._server.api.runtime.catalogue

    async def pin(self, session: str, to: str, seconds: float) -> bool:
        """Send a session to a tier or backend."""
        self._server.api.runtime.memory.affinity.pin(session, to, seconds)
        return True

    def _readings(self) -> Iterator[Reading]:
        server = self._server
        runtime = server.api.runtime
        memory = runtime.memory
        yield Reading(IN_FLIGHT, (), server.http.in_flight)
        yield Reading(CONNECTIONS, (), server.http.connections)
        yield Reading(HANDSHAKES, (), server.http.handshakes)
        yield Reading(TASKS, (), len(asyncio.all_tasks()))
        yield from crowds(runtime.seats)
        yield Reading(STORE_UP, (memory.name,), int(memory.well()))
        yield Reading(STORE_ALONE, (memory.name,), memory.alone())
        yield Reading(RESTARTS, (), 0)  # of itself; a supervisor tells those of its workers
        yield Reading(LINE, ("now",), runtime.classifier.line)
        yield Reading(LINE, ("first",), runtime.classifier.first_line)
        yield Reading(CONFIG, (runtime.loaded.version,), 1)
        yield from self.delivery.readings()
        for outcome, count in server.reloads.counts.items():
            yield Reading(RELOADS, (outcome,), count)
        yield from shadows(runtime.mirror.books)
        yield from chain(breakers(memory.health, runtime.catalogue.backends), limits(memory.limits))


def crowds(seats: Seats) -> Iterator[Reading]:
    """Look up how full each tier is."""
    for tier, lane in seats.lanes.items():
        yield Reading(TIER_IN_FLIGHT, (tier,), lane.under_way)
        yield Reading(TIER_WAITING, (tier,), lane.waiting)
        yield Reading(TIER_REFUSED, (tier,), seats.refused[tier])
