"""Flags on the admin listener: those in force, and turning one by hand for every worker and host.

GET    /admin/flags          all, in the order they count, with whose they are: hand or file (ETag)
PUT    /admin/flags/{id}     {"set": {...}, "scope": {...}, "share": "20%", "on": true, "reason": "..."}, If-Match
DELETE /admin/flags/{id}     {"reason": "..."}: what the file says of it counts again
"""

from collections.abc import Callable
from typing import Any

from aiohttp import web
from pydantic import ValidationError

from twospeed.config import Loaded
from twospeed.control.rollouts import Rollouts
from twospeed.edge.delivery import tidy
from twospeed.edge.routes import ACTOR, STATUS, TYPES, answered, body, expected, said
from twospeed.policy.flags import Flag, combined
from twospeed.policy.held import Denied

MOST = 200  # flags set by hand


class Flagging:
    """Flags of a host.

    Args:
        loaded: Returns the configuration in force.
    """

    def __init__(self, rollouts: Rollouts, loaded: Callable[[], Loaded]) -> None:
        self._rollouts = rollouts
        self._loaded = loaded

    def join(self, router: web.UrlDispatcher) -> None:
        """Add the paths."""
        router.add_get("/admin/flags", self._listed)
        router.add_put("/admin/flags/{name}", self._set)
        router.add_delete("/admin/flags/{name}", self._remove)

    def shown(self) -> dict[str, Any]:
        """Return the flags in force, in the order they count."""
        by_hand, version = self._rollouts.flags
        kept = {name: Flag.model_validate(flag) for name, flag in by_hand.items()}
        flags = combined(self._loaded().config.flags, kept)
        return {
            "flags": [
                {**flag.model_dump(mode="json", exclude_none=True), "by": "hand" if flag.id in kept else "file"}
                for flag in flags
            ],
            "version": version,
        }

    async def _listed(self, request: web.Request) -> web.Response:
        shown = self.shown()
        return answered(shown, 200, shown["version"])

    async def _set(self, request: web.Request) -> web.Response:
        name, value = request.match_info["name"], await body(request)
        reason = said(value, "reason")
        flag = self._checked({**{key: one for key, one in value.items() if key != "reason"}, "id": name})
        return await self._turned(request, name, flag.model_dump(mode="json"), reason or "set by hand")

    async def _remove(self, request: web.Request) -> web.Response:
        name, value = request.match_info["name"], await body(request)
        if name not in self._rollouts.flags[0]:
            raise web.HTTPNotFound(text=f"there is no flag '{name}' set by hand")
        return await self._turned(request, name, None, said(value, "reason") or "removed by hand")

    async def _turned(self, request: web.Request, name: str, flag: dict[str, Any] | None, reason: str) -> web.Response:
        try:
            await self._rollouts.people.turn(name, flag, request[ACTOR], tidy(reason), expected(request))
        except Denied as denied:
            told = {"error": {"type": TYPES[denied.why], "message": str(denied)}, **self.shown()}
            return answered(told, STATUS[denied.why], told["version"])
        return await self._listed(request)

    def _checked(self, value: dict[str, Any]) -> Flag:
        """Read a flag, or raise what the sender is told."""
        try:
            flag = Flag.model_validate(value)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise web.HTTPBadRequest(text=f"{where}: {first['msg'].removeprefix('Value error, ')}") from None
        catalogue = self._loaded().catalogue
        if flag.set.model is not None and catalogue.route(flag.set.model) is None:
            raise web.HTTPBadRequest(text=f"set.model: '{flag.set.model}' leads nowhere")
        if len(self._rollouts.flags[0]) >= MOST and flag.id not in self._rollouts.flags[0]:
            raise web.HTTPBadRequest(text=f"{MOST} flags are set by hand already: remove some")
        return flag
