"""Which tier, and which backends of it, within what the caller may use.

What an operator has decided of a session comes first, then flags, then the operator's rules, then the client's pin by header or by
name; what is left is classified, and a conversation under way stays where its prompt is cached unless moving is worth it.
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from twospeed.errors import Fault, Kind
from twospeed.policy.access import Caller
from twospeed.policy.catalogue import CACHED, Catalogue
from twospeed.policy.content import open_all
from twospeed.policy.down import OTHER
from twospeed.policy.language import language
from twospeed.policy.marks import has_image
from twospeed.policy.plan import Planner, Route
from twospeed.policy.rules import Asked, Rules
from twospeed.policy.switching import Switching
from twospeed.policy.wishes import wished
from twospeed.types import TIERS, Backend, Conversation, Request, Switches, Tier, Verdict

Choice = tuple[Verdict, Sequence[Backend]]
_PIN = b"x-twospeed-tier"


class Case(msgspec.Struct):
    """One request to be decided.

    `served_by`: names of provider dialects that can serve it; a request bound to its own is narrowed further. `classify`:
    what auto says. `session`: its key, "" for none; `thread`: which of its conversations, "" where that does not matter.
    """

    request: Request
    headers: Mapping[bytes, bytes]
    caller: Caller
    served_by: tuple[str, ...]
    classify: Callable[[], Verdict]
    conversation: Callable[[], Conversation]
    session: str = ""
    thread: str = ""
    now: float = 0.0
    line: float = 0.5
    switches: Switches | None = None  # what flags turned


class Policy(msgspec.Struct):
    """What an operator has written about routing beyond names and tiers, for one configuration snapshot."""

    rules: Rules = Rules(())
    observe: bool = False
    switching: Switching | None = None  # None where nothing can be weighed


PLAIN = Policy()


class Chooser:
    """Answers for one configuration snapshot."""

    def __init__(self, catalogue: Catalogue, planner: Planner, policy: Policy = PLAIN) -> None:
        self._catalogue = catalogue
        self._planner = planner
        self._policy = policy
        self._by_name = not (policy.rules or policy.observe)  # nothing of the operator's comes before a name
        self._settled: dict[tuple[str, str, tuple[str, ...], str], Choice | Route | None] = {}

    def settled(
        self,
        request: Request,
        headers: Mapping[bytes, bytes],
        caller: Caller,
        served_by: tuple[str, ...],
        session: str,
        switches: Switches | None,
    ) -> Choice | Route | None:
        """Return what `choose` says where the requested name alone decides; that is worked out once for each name.

        A route where the name leaves it to classification, and that alone decides. None where anything else has a say: a rule, a
        flag, an operator, a header, or wishes.

        Raises: Fault MODEL_NOT_FOUND.
        """
        if not self._by_name or switches is not None or request.wishes is not None or _PIN in headers:
            return None
        if session and self._planner.pinned(session) is not None:
            return None
        key = request.model, caller.name, served_by, request.bound
        try:
            return self._settled[key]
        except KeyError:
            choice = self._by_name_alone(request, caller, served_by)
            if len(self._settled) < CACHED:
                self._settled[key] = choice
            return choice

    def choose(self, case: Case) -> Choice:
        """Find the tier, and the backends of it that this caller may use and that can serve the request.

        Returns: no backends where those there are speak none of these dialects; `unserved` says it in words.

        Raises: Fault MODEL_NOT_FOUND, DENIED by a rule, BAD_REQUEST for a wrong pin.
        """
        request, caller = case.request, case.caller
        route, verdict = self._taken_over(case) or self._flagged(case) or self._ruled(case) or self._asked_for(case)
        served_by = (request.dialect,) if request.bound else case.served_by
        verdict, backends = self._planner.within_reach(verdict, route, caller, served_by)
        if not backends and not self._planner.within_reach(verdict, route, caller)[1]:
            raise unknown_model(request.model)
        if backends and request.wishes is not None:
            backends = self._wished(request, caller, verdict, list(backends), served_by)
        return verdict, backends

    def _by_name_alone(self, request: Request, caller: Caller, served_by: tuple[str, ...]) -> Choice | Route | None:
        route = self._route(caller, request)
        if route.tier is None:
            return None if request.bound else route
        served_by = (request.dialect,) if request.bound else served_by
        choice = self._planner.within_reach(pinned(route, route.tier), route, caller, served_by)
        return choice if choice[1] else None

    def _taken_over(self, case: Case) -> tuple[Route, Verdict] | None:
        """Return where an operator has sent this session, None where the caller's key does not reach that."""
        to = self._planner.pinned(case.session) if case.session else None
        if to is None:
            return None
        route = Route(to, reason="operator") if to in TIERS else self._catalogue.route(to)
        if route is None or route.tier is None:
            return None
        verdict = Verdict(route.tier, ("pinned:operator",))
        reached = self._planner.within_reach(verdict, route, case.caller, case.served_by)[1]
        return (route, verdict) if reached else None

    def _flagged(self, case: Case) -> tuple[Route, Verdict] | None:
        """Return what a flag says, None where none does or the caller may not use it. Raises: Fault DENIED by a rule."""
        switches = case.switches
        if switches is None or (switches.model is None and switches.tier is None):
            return None
        self._ruled(case)  # what a rule denies stays denied
        reason = f"flag:{switches.flags[0]}"
        if switches.model is not None:
            route = self._catalogue.route(switches.model)
            if route is not None and case.caller.may_use(switches.model, *route.names):
                verdict = choose(route, case.classify)
                return route, replace(verdict, reasons=(reason, *verdict.reasons))
        if switches.tier is None or self._route(case.caller, case.request).backends:
            return None
        return Route(None), Verdict(switches.tier, (reason,))

    def _ruled(self, case: Case) -> tuple[Route, Verdict] | None:
        """Return what the first rule that fits says. Raises: Fault DENIED."""
        rules = self._policy.rules
        rule = rules.first(_asked(case)) if rules else None
        if rule is None:
            return None
        reason = f"rule:{rule.name}"
        if rule.deny is not None:
            raise Fault(Kind.DENIED, rule.deny, detail=reason)
        if rule.tier is not None:
            return Route(None), Verdict(rule.tier, (reason,))
        route = self._named(case.caller, (rule.model or "",), case.request.model)
        verdict = choose(route, case.classify)
        return route, replace(verdict, reasons=(reason, *verdict.reasons))

    def _asked_for(self, case: Case) -> tuple[Route, Verdict]:
        """Return what the client asks for, by header or by name; else what its content asks for."""
        pinned = pinned_tier(case.headers)
        route = self._route(case.caller, case.request)
        if pinned:
            route = Route(pinned, reason="header")
        if self._policy.observe:
            return self._observed(case, route)
        verdict = choose(route, case.classify)
        if route.tier is None and self._policy.switching is not None:
            verdict = self._policy.switching.weigh(verdict, case.line, case.thread, case.now)
        return route, verdict

    def _observed(self, case: Case, route: Route) -> tuple[Route, Verdict]:
        """Honour the client's model and note what auto says; there is nothing to honour in `auto` itself."""
        honoured = self._catalogue.honoured(case.request.model) if route.tier is None else None
        if honoured is not None and case.caller.may_use(case.request.model, *honoured.names):
            route = honoured
        auto = case.classify()
        if route.tier is None:
            return route, auto
        return route, replace(choose(route, case.classify), observed=auto)

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

        Returns: none for a request that named backends or providers itself, or that an operator has sent where it is: it is
        never sent beyond those.
        """
        ruled = verdict.reasons[0].startswith(_OPERATORS)
        named = not pinned_tier(headers) and not ruled and self._route(caller, request).backends
        if named or ruled or request.wishes is not None:
            return verdict, ()
        other = OTHER[verdict.tier]
        moved = Verdict(other, (f"down:{verdict.tier}", *verdict.reasons), verdict.score, verdict.gain)
        served_by = (request.dialect,) if request.bound else served_by
        backends = self._planner.within_reach(moved, Route(other), caller, served_by)[1]
        return moved, [backend for backend in backends if backend not in tried]

    def _route(self, caller: Caller, request: Request) -> Route:
        """Return what the name asked for leads to; where it leads nowhere, the first of `models` that leads anywhere."""
        names = (request.model, *request.wishes.models) if request.wishes else (request.model,)
        return self._named(caller, names, request.model)

    def _named(self, caller: Caller, names: Sequence[str], asked: str) -> Route:
        for name in names:
            route = self._catalogue.route(name)
            if route is not None and caller.may_use(name, *route.names):
                return route
        raise unknown_model(asked)

    def _wished(
        self, request: Request, caller: Caller, verdict: Verdict, backends: list[Backend], served_by: tuple[str, ...]
    ) -> Sequence[Backend]:
        assert request.wishes is not None
        for name in request.wishes.models:
            route = self._catalogue.route(name)
            if route is not None and caller.may_use(name, *route.names):
                backends += self._planner.within_reach(verdict, route, caller, served_by)[1]
        return wished(list(dict.fromkeys(backends)), request.wishes, self._planner.health)


_OPERATORS = ("rule:", "flag:", "pinned:operator")  # reasons of what an operator decided


def _asked(case: Case) -> Asked:
    request = case.request
    return Asked(
        request.endpoint,
        request.model,
        case.caller.name,
        case.headers,
        len(request.body),
        lambda: language(case.headers, request.body),
        lambda: case.conversation().tools,
        lambda: has_image(open_all(case.conversation().messages)),
    )


def pinned_tier(headers: Mapping[bytes, bytes]) -> Tier | None:
    """Read `x-twospeed-tier`. Raises: Fault BAD_REQUEST for anything but fast or deep.

    >>> pinned_tier({b"x-twospeed-tier": b"Deep"})
    'deep'
    """
    value = headers.get(_PIN)
    if value is None:
        return None
    for tier in TIERS:
        if value.lower() == tier.encode():
            return tier
    raise Fault(Kind.BAD_REQUEST, "x-twospeed-tier must be fast or deep", param="x-twospeed-tier")


def choose(route: Route, classify: Callable[[], Verdict]) -> Verdict:
    """Return the verdict of a route: its own tier, or what classification says.

    >>> choose(Route("deep", reason="alias"), lambda: Verdict("fast", ())).reasons
    ('pinned:alias',)
    """
    return classify() if route.tier is None else pinned(route, route.tier)


def pinned(route: Route, tier: Tier) -> Verdict:
    """Return the verdict of a route that has a tier."""
    return Verdict(tier, (f"pinned:{route.reason}",))


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
