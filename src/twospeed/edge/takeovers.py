"""Sessions that an operator has taken over: sent to one tier or backend by hand, for a time, with who and why in the ledger.

GET    /admin/sessions                 those taken over here, and until when
GET    /admin/sessions/{id}/pin        what the ledger of this host has of one
PUT    /admin/sessions/{id}/pin        {"tier": "deep"} or {"backend": "provider/model"}, "for": "8h", "reason": "..."
DELETE /admin/sessions/{id}/pin        {"reason": "..."}

The id is that of the record, the log and the trace. A caller's key still bounds where the session may go.
"""

import re
import time
from collections.abc import Callable
from typing import Any, Protocol

from aiohttp import web

from twospeed.edge.delivery import told
from twospeed.edge.routes import ACTOR, answered, body, said
from twospeed.policy.audit import Entry
from twospeed.policy.catalogue import Catalogue
from twospeed.stores.ledger import Scribe
from twospeed.types import TIERS
from twospeed.units import duration

USUAL, LONGEST = 8 * 3600.0, 30 * 86_400.0  # seconds
KIND = "session"  # of an entry in the ledger
MOST_LINES = 100
_ASKED = frozenset({"tier", "backend", "for", "reason"})
_ID = re.compile(r"[0-9a-f]{16}")


class Host(Protocol):
    """Who can tell the serving processes."""

    def catalogue(self) -> Catalogue:
        """Return the names in force."""

    async def pin(self, session: str, to: str, seconds: float) -> bool:
        """Send a session to a tier or backend for so long, 0 to end that; False when nobody could be told."""


class Takeovers:
    """Takes sessions over for one host. `wall`: seconds since the epoch."""

    def __init__(self, host: Host, ledger: Scribe, wall: Callable[[], float] = time.time) -> None:
        self._host = host
        self._ledger = ledger
        self._wall = wall
        self._held: dict[str, dict[str, Any]] = {}

    def join(self, router: web.UrlDispatcher) -> None:
        """Add the paths."""
        router.add_get("/admin/sessions", self._listed)
        router.add_get("/admin/sessions/{id}/pin", self._one)
        router.add_put("/admin/sessions/{id}/pin", self._take)
        router.add_delete("/admin/sessions/{id}/pin", self._release)

    async def _listed(self, request: web.Request) -> web.Response:
        now = self._wall()
        self._held = {session: held for session, held in self._held.items() if held["until"] > now}
        return answered({"sessions": list(self._held.values())})

    async def _one(self, request: web.Request) -> web.Response:
        session = _session(request)
        lines = await self._ledger.lines(kind=KIND, subject=session, limit=MOST_LINES)
        return answered({"session": session, "pin": self._held.get(session), "history": [told(line) for line in lines]})

    async def _take(self, request: web.Request) -> web.Response:
        session, asked = _session(request), await body(request)
        if not _ASKED.issuperset(asked):
            raise web.HTTPBadRequest(text="known here: tier, backend, for, reason")
        to, seconds, reason = self._where(asked), _seconds(asked), said(asked, "reason")
        if not reason:
            raise web.HTTPBadRequest(text="say why, in `reason`")
        await self._tell(session, to, seconds)
        now, actor = self._wall(), request[ACTOR]
        entry = Entry(now, KIND, session, "taken_over", after=to, actor=actor, reason=reason)
        self._ledger.enter(entry, {"for_seconds": seconds})
        held = {"session": session, "to": to, "by": actor, "reason": reason, "at": now, "until": now + seconds}
        self._held[session] = held
        return answered(held)

    async def _release(self, request: web.Request) -> web.Response:
        session, reason = _session(request), said(await body(request), "reason")
        before = self._held.pop(session, {"to": ""})["to"]
        await self._tell(session, before or TIERS[0], 0.0)
        self._ledger.enter(
            Entry(self._wall(), KIND, session, "released", before=before, actor=request[ACTOR], reason=reason)
        )
        return answered({"session": session, "pin": None})

    async def _tell(self, session: str, to: str, seconds: float) -> None:
        if not await self._host.pin(session, to, seconds):
            raise web.HTTPServiceUnavailable(text="no worker answers: try again")

    def _where(self, asked: dict[str, Any]) -> str:
        """Return the tier, or the full name of the backend."""
        tier, name = said(asked, "tier"), said(asked, "backend")
        if bool(tier) is bool(name):
            raise web.HTTPBadRequest(text="name a `tier` or a `backend`")
        if tier:
            if tier not in TIERS:
                raise web.HTTPBadRequest(text="`tier` is fast or deep")
            return tier
        route = self._host.catalogue().route(name)
        if route is None or len(route.backends) != 1:
            raise web.HTTPBadRequest(text="`backend` is provider/model, as /admin/status lists them")
        return route.backends[0].name


def _session(request: web.Request) -> str:
    session = request.match_info["id"]
    if not _ID.fullmatch(session):
        raise web.HTTPBadRequest(text="the id of a session is 16 hex digits, as the log has it")
    return session


def _seconds(asked: dict[str, Any]) -> float:
    try:
        seconds = duration(asked.get("for", f"{USUAL:.0f}s"))
    except ValueError as error:
        raise web.HTTPBadRequest(text=f"`for`: {error}") from None
    if not 0 < seconds <= LONGEST:
        raise web.HTTPBadRequest(text="`for` is at most 30d")
    return seconds
