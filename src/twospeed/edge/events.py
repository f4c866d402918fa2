"""`GET /admin/events`: the audit ledger as it grows, as server-sent events; the id of an event is its number there.

A client that comes back with Last-Event-ID misses nothing; without one it hears of what happens from now on; when the ledger
was made anew it hears all that is in it. Each reads from
the file at its own pace, so that a slow one holds nothing here, and one that takes nothing for a while is let go.

Task: one that looks whether the file has grown, while anybody listens; ended and awaited by `close`.
"""

import asyncio
import json
from typing import Any

from aiohttp import web

from twospeed.edge.delivery import told
from twospeed.stores.ledger import Scribe

HEARTBEAT = 10.0  # seconds without an event until a comment says that the line is alive
LOOK_EVERY = 0.2  # seconds
AT_ONCE = 100  # events read in one go
STALLED = 15.0  # seconds a client may take nothing
MOST = 64  # clients


class Events:
    """The feed of one admin listener."""

    def __init__(self, ledger: Scribe, heartbeat: float = HEARTBEAT) -> None:
        self._ledger = ledger
        self._heartbeat = heartbeat
        self._listening = 0
        self._grown = asyncio.Event()
        self._newest = 0
        self._looking: asyncio.Task[None] | None = None
        self._ended = False

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer one client until it goes, or the listener closes."""
        if self._listening >= MOST:
            raise web.HTTPServiceUnavailable(text=f"{MOST} clients listen already")
        after = _after(request)
        subject = request.match_info.get("name", "")
        answer = web.StreamResponse(
            headers={"content-type": "text/event-stream; charset=utf-8", "x-accel-buffering": "no"}
        )
        answer.headers.update({"cache-control": "no-store"})
        self._listening += 1
        try:
            place = await self._ledger.newest() if after is None else after
            await answer.prepare(request)
            await answer.write(b"retry: 1000\n: from %d\n\n" % place)
            await self._follow(answer, place, subject)
        except (ConnectionError, TimeoutError):
            return answer  # it left, or takes nothing
        finally:
            self._listening -= 1
        return answer

    async def close(self) -> None:
        """Let everybody go."""
        self._ended = True
        self._grown.set()
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    async def _follow(self, answer: web.StreamResponse, place: int, subject: str) -> None:
        while not self._ended:
            if self._looking is None or self._looking.done():
                self._looking = asyncio.create_task(self._look())
            grown = self._grown
            lines = await self._ledger.lines(place, AT_ONCE)
            for line in lines:
                place = line.number
                if subject in ("", line.entry.subject):
                    await _written(answer, event(line.number, line.entry.kind, told(line)))
            if lines:
                continue
            if 0 < await self._ledger.newest() < place:
                place = 0  # the file was made anew: nothing in it has been told
                continue
            if await _set(grown, self._heartbeat):
                continue
            await _written(answer, b": alive\n\n")

    async def _look(self) -> None:
        while self._listening:
            newest = await self._ledger.newest()
            if newest != self._newest:
                self._newest = newest
                self._grown.set()
                self._grown = asyncio.Event()
            await asyncio.sleep(LOOK_EVERY)


def event(number: int, kind: str, data: dict[str, Any]) -> bytes:
    """Write one event.

    >>> event(7, "flag", {"subject": "f"})
    b'id: 7\\nevent: flag\\ndata: {"subject": "f"}\\n\\n'
    """
    return f"id: {number}\nevent: {kind}\ndata: {json.dumps(data)}\n\n".encode()


def _after(request: web.Request) -> int | None:
    said = request.headers.get("last-event-id") or request.query.get("after")
    if not said:
        return None
    if not said.isdigit() or len(said) > 15:
        raise web.HTTPBadRequest(text="Last-Event-ID is the number of an event; 0 begins with the first")
    return int(said)


async def _written(answer: web.StreamResponse, data: bytes) -> None:
    async with asyncio.timeout(STALLED):
        await answer.write(data)


async def _set(grown: asyncio.Event, timeout: float) -> bool:
    try:
        async with asyncio.timeout(timeout):
            await grown.wait()
    except TimeoutError:
        return False
    return True
