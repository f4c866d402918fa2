"""Which tier, and which backends of it: pinned by header or by name, else classified; within what the caller may use."""

from collections.abc import Callable, Mapping, Sequence

from twospeed.errors import Fault, Kind
from twospeed.policy.access import Caller
from twospeed.policy.catalogue import Catalogue
from twospeed.policy.down import OTHER
from twospeed.policy.plan import Planner, Route
from twospeed.policy.wishes import wished
from twospeed.types import TIERS, Backend, Request, Tier, Verdict


class Chooser:
    """Answers for one configuration snapshot."""

    def __init__(self, catalogue: Catalogue, planner: Planner) -> None:
        self._catalogue = catalogue
        self._planner = planner

    def choose(
        self,
        request: Request,
        headers: Mapping[bytes, bytes],
        caller: Caller,
        served_by: tuple[str, ...],
        classify: Callable[[], Verdict],
    ) -> tuple[Verdict, Sequence[Backend]]:
        """Find the tier, and the backends of it that this caller may use and that can serve the request.

        Args:
            served_by: Names of provider dialects that can serve it; a request bound to its own is narrowed further.

        Returns: no backends where those there are speak none of these dialects; `unserved` says it in words.

        Raises: Fault MODEL_NOT_FOUND, BAD_REQUEST for a wrong pin.
        """
        pinned = pinned_tier(headers)
        route = self._route(caller, request)
        if pinned:
            route = Route(pinned, reason="header")
        if request.bound:
            served_by = (request.dialect,)
        verdict, backends = self._planner.within_reach(choose(route, classify), route, caller, served_by)
        if not backends and not self._planner.within_reach(verdict, route, caller)[1]:
            raise unknown_model(request.model)
        if backends and request.wishes is not None:
            backends = self._wished(request, caller, verdict, list(backends), served_by)
        return verdict, backends

    def elsewhere(
        self,
        request: Request,
        headers: Mapping[bytes, bytes],
        caller: Caller,
        served_by: tuple[str, ...],
        verdict: Verdict,
        tried: Sequence[Backend],
    ) -> tuple[Verdict, Sequence[Backend]]:
        """Find the backends of the other tier for a request whose own tier is down.

        Returns: none for a request that named backends or providers itself: it is never sent beyond those.
        """
        named = not pinned_tier(headers) and self._route(caller, request).backends
        if named or request.wishes is not None:
            return verdict, ()
        other = OTHER[verdict.tier]
        moved = Verdict(other, (f"down:{verdict.tier}", *verdict.reasons), verdict.score, verdict.gain)
        served_by = (request.dialect,) if request.bound else served_by
        backends = self._planner.within_reach(moved, Route(other), caller, served_by)[1]
        return moved, [backend for backend in backends if backend not in tried]

    def _route(self, caller: Caller, request: Request) -> Route:
        """Return what the name asked for leads to; where it leads nowhere, the first of `models` that leads anywhere."""
        for name in (request.model, *(request.wishes.models if request.wishes else ())):
            route = self._catalogue.route(name)
            if route is not None and caller.may_use(name, *route.names):
                return route
        raise unknown_model(request.model)

    def _wished(
        self, request: Request, caller: Caller, verdict: Verdict, backends: list[Backend], served_by: tuple[str, ...]
    ) -> Sequence[Backend]:
        assert request.wishes is not None
        for name in request.wishes.models:
            route = self._catalogue.route(name)
            if route is not None and caller.may_use(name, *route.names):
                backends += self._planner.within_reach(verdict, route, caller, served_by)[1]
        return wished(list(dict.fromkeys(backends)), request.wishes, self._planner.health)


def pinned_tier(headers: Mapping[bytes, bytes]) -> Tier | None:
    """Read `x-twospeed-tier`. Raises: Fault BAD_REQUEST for anything but fast or deep.

    >>> pinned_tier({b"x-twospeed-tier": b"Deep"})
    'deep'
    """
    value = headers.get(b"x-twospeed-tier")
    if value is None:
        return None
    for tier in TIERS:
        if value.lower() == tier.encode():
            return tier
    raise Fault(Kind.BAD_REQUEST, "x-twospeed-tier must be fast or deep", param="x-twospeed-tier")


def choose(route: Route, classify: Callable[[], Verdict]) -> Verdict:
    """Return the verdict of a route: its own tier, or what classification says.

    >>> choose(Route("deep", reason="alias"), lambda: Verdict("fast", ()))
    Verdict(tier='deep', reasons=('pinned:alias',), score=None, gain=None)
    """
    if route.tier is not None:
        return Verdict(route.tier, (f"pinned:{route.reason}",))
    return classify()


def unserved(request: Request) -> Fault:
    """Return the fault of a name behind which nobody speaks what is asked."""
    if request.bound:
        message = f"'{request.bound}' needs a provider that keeps responses; this one keeps none, so send all input"
        return Fault(Kind.BAD_REQUEST, message, param=request.bound)
    message = f"no provider of '{request.model[:100]}' offers {request.endpoint[:100]}"
    return Fault(Kind.BAD_REQUEST, message, param="model")


def unknown_model(model: str) -> Fault:
    """A model that does not exist and one that is forbidden are told apart by nobody (R32)."""
    shown = model[:100]
    return Fault(Kind.MODEL_NOT_FOUND, f"the model '{shown}' does not exist or you may not use it", param="model")
