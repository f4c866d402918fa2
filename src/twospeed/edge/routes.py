"""The paths of the admin listener that are about rollouts: who asked what, and how a refusal is said in HTTP.

GET  /admin/rollouts · /admin/rollouts/{id} (ETag) · /admin/rollouts/{id}/history · /admin/events · .../{id}/events
POST /admin/rollouts/{id}/{start|pause|resume|promote|abort|retry}    If-Match, {"reason": "..."}
"""

import json
from typing import Any

import msgspec
from aiohttp import web

from twospeed.edge.delivery import ACTIONS, LONGEST_REASON, Delivery
from twospeed.edge.events import Events
from twospeed.policy.held import Denied, Why

ACTOR = web.RequestKey("actor", str)  # whose key a request came with
STATUS: dict[Why, int] = {
    "unknown": 404,
    "conflict": 412,
    "impossible": 409,
    "refused": 409,
    "malformed": 400,
    "away": 503,
}
TYPES: dict[Why, str] = {
    "unknown": "not_found",
    "conflict": "conflict",
    "impossible": "impossible",
    "refused": "gate_refused",
    "malformed": "bad_request",
    "away": "store_away",
}


class Routes:
    """Answers for one host."""

    def __init__(self, delivery: Delivery, events: Events) -> None:
        self._delivery = delivery
        self._events = events

    def join(self, router: web.UrlDispatcher) -> None:
        """Add the paths."""
        router.add_get("/admin/rollouts", self._listed)
        router.add_get("/admin/rollouts/{name}", self._one)
        router.add_get("/admin/rollouts/{name}/history", self._history)
        router.add_get("/admin/rollouts/{name}/events", self._events.serve, allow_head=False)
        router.add_get("/admin/drills", self._drill)
        router.add_post("/admin/drills", self._begin)
        router.add_post("/admin/drills/{outcome:passed|failed}", self._ended)
        router.add_get("/admin/events", self._events.serve, allow_head=False)
        router.add_post(f"/admin/rollouts/{{name}}/{{action:{'|'.join(ACTIONS)}}}", self._act)

    async def _listed(self, request: web.Request) -> web.Response:
        return answered(await self._delivery.listed())

    async def _one(self, request: web.Request) -> web.Response:
        try:
            value, version = await self._delivery.one(request.match_info["name"])
        except Denied as denied:
            return await self._denied(request, denied)
        return answered(value, 200, version)

    async def _history(self, request: web.Request) -> web.Response:
        try:
            return answered(await self._delivery.history(request.match_info["name"]))
        except Denied as denied:
            return await self._denied(request, denied)

    async def _act(self, request: web.Request) -> web.Response:
        name, action = request.match_info["name"], request.match_info["action"]
        reason = said(await body(request), "reason")
        try:
            value, version = await self._delivery.act(name, action, request[ACTOR], reason, expected(request))
        except Denied as denied:
            return await self._denied(request, denied)
        return answered(value, 200, version)

    async def _drill(self, request: web.Request) -> web.Response:
        return answered({"drill": await self._delivery.drill()})

    async def _begin(self, request: web.Request) -> web.Response:
        try:
            value, version = await self._delivery.begin(await body(request), request[ACTOR])
        except Denied as denied:
            return answered({"error": {"type": TYPES[denied.why], "message": str(denied)}}, STATUS[denied.why])
        return answered(value, 201, version)

    async def _ended(self, request: web.Request) -> web.Response:
        value = await body(request)
        figures = value.get("figures")
        return answered(
            await self._delivery.ended(
                request.match_info["outcome"],
                said(value, "reason"),
                request[ACTOR],
                figures if isinstance(figures, dict) else {},
            )
        )

    async def _denied(self, request: web.Request, denied: Denied) -> web.Response:
        """Say no, with how things stand, so that nobody needs to ask again before trying again."""
        told: dict[str, Any] = {"error": {"type": TYPES[denied.why], "message": str(denied)}}
        if denied.why == "unknown":
            return answered(told, STATUS[denied.why])
        told["rollout"], version = await self._delivery.one(request.match_info["name"])
        return answered(told, STATUS[denied.why], version)


async def body(request: web.Request) -> dict[str, Any]:
    """Read a body that is a JSON object, or nothing."""
    text = await request.read()
    try:
        value = msgspec.json.decode(text) if text.strip() else {}  # half a character in a text could be kept nowhere
    except (ValueError, RecursionError):
        raise web.HTTPBadRequest(text="the body is not JSON") from None
    if not isinstance(value, dict):
        raise web.HTTPBadRequest(text='the body is to be a JSON object, such as {"reason": "..."}')
    return value


def said(value: dict[str, Any], name: str) -> str:
    """Return a text of the body, "" when it is not there."""
    text = value.get(name, "")
    if not isinstance(text, str) or len(text) > 10 * LONGEST_REASON:
        raise web.HTTPBadRequest(text=f"`{name}` is a text of at most {LONGEST_REASON} characters")
    return text


def expected(request: web.Request) -> int | None:
    """Read If-Match; None when any version will do."""
    tag = request.headers.get("if-match", "*").strip()
    if tag == "*":
        return None
    number = tag.removeprefix("W/").strip('"')
    if not number.isdigit() or len(number) > 15:
        raise web.HTTPBadRequest(text='If-Match is the ETag of the rollout, such as "3", or *')
    return int(number)


def answered(value: dict[str, Any], status: int = 200, version: int | None = None) -> web.Response:
    """Answer with JSON."""
    answer = web.Response(
        status=status, body=json.dumps(value, indent=2).encode() + b"\n", content_type="application/json"
    )
    if version is not None:
        answer.headers["etag"] = f'"{version}"'
    return answer
