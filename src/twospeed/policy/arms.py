"""Arms: which of two versions a request meets, where a rollout has a say. One per snapshot of configuration and states.

    name asked for -> rollout of it -> in scope? -> place of the session below the share? -> candidate, else stable

Both versions stand in both arms, in turn, so that whatever befalls the one the other serves; the name never leads nowhere.
A session that cannot be told from others, and a request that only one of the two can serve, stay with the stable version
and are not counted; so is one whose provider keeps the conversation: it goes to where that is kept.
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from twospeed.policy.affinity import Affinity
from twospeed.policy.catalogue import Catalogue
from twospeed.policy.drilling import MARK
from twospeed.policy.held import Held, settled
from twospeed.policy.language import HEADER as LANGUAGE_HEADER
from twospeed.policy.language import language
from twospeed.policy.plan import Route
from twospeed.policy.rollout import DRILL, STEP_PHASES, Phase, Rollout, Scope, share_bucket
from twospeed.policy.scope import repo, speaks, within
from twospeed.types import Backend, Offer, Verdict

KNOWN = 20_000  # sessions whose language is remembered

Arm = str  # "stable", "candidate", or "" for a request that is not counted
Reach = Callable[[Route], Sequence[Backend]]


class Split(msgspec.Struct, frozen=True):
    """One rollout at work. `share`: of sessions that meet the candidate, in 0..1; `counted`: they are compared now.

    `apart`: the two versions have different providers. `route`: all backends of the name, the candidate first.
    """

    rollout: str
    step: int
    share: float
    counted: bool
    stable: Backend
    candidate: Backend
    offer: Offer
    route: Route
    scope: Scope
    tongues: bool = False  # the language matters

    @property
    def apart(self) -> bool:
        """Say whether what one version's provider keeps is unknown to the other's."""
        return self.stable.provider != self.candidate.provider


class Assigned(msgspec.Struct, frozen=True, gc=False):
    """Where one request goes: `backends` in this order. `offer`: where the first is the candidate on trial."""

    backends: Sequence[Backend]
    arm: Arm
    split: Split
    offer: Offer | None = None
    language: str = ""
    repo: str = ""


class Asked(msgspec.Struct, frozen=True, gc=False):
    """A request, as far as a rollout looks at it. `opening`: how the conversation begins, asked for only where needed.

    `bound`: it needs what a provider keeps. `wishes`: it says itself where it wants to go.
    """

    caller: str
    session: str
    headers: Mapping[bytes, bytes]
    opening: Callable[[], Sequence[bytes]]
    bound: bool = False
    wishes: bool = False


class Offers:
    """What outlives a snapshot: the candidates on offer, and what is known of sessions. One per process."""

    def __init__(self) -> None:
        self._offers: dict[str, Offer] = {}
        self._languages: dict[str, str] = {}

    def renewed(self, held: Mapping[str, Held], names: Callable[[str], str]) -> Mapping[str, Offer]:
        """Return the offer of each rollout, the one there was where it goes on; what is over is withdrawn.

        Args:
            names: Returns the full name of a backend, "" where there is none.
        """
        going_on: dict[str, Offer] = {}
        for name, one in held.items():
            target, state = one.settings["target"], one.state
            offer = Offer(name, state.attempt, names(target["candidate"]), names(target["stable"]))
            known = self._offers.get(name)
            same = known is not None and (known.attempt, known.candidate) == (offer.attempt, offer.candidate)
            going_on[name] = known if known is not None and same and not known.withdrawn else offer
            if state.share <= 0.0 and state.phase is not Phase.SHADOW:
                going_on[name].withdraw()
        for name, offer in self._offers.items():
            if going_on.get(name) is not offer:
                offer.withdraw()
        self._offers = going_on
        return going_on

    def language(self, asked: Asked) -> str:
        """Return the language of a session: as a header says, else as its opening shows, found out once."""
        if LANGUAGE_HEADER in asked.headers:
            return language(asked.headers, b"")
        known = self._languages.get(asked.session)
        if known is None:
            known = language({}, b"\n".join(asked.opening()))
            if len(self._languages) >= KNOWN:
                del self._languages[next(iter(self._languages))]
            self._languages[asked.session] = known
        return known


class Arms:
    """All rollouts that have a say; false when none has.

    Args:
        offers: What outlives this.
        affinity: Where sessions were served, for those whose provider keeps the conversation.
    """

    def __init__(
        self,
        rollouts: Sequence[Rollout],
        held: Mapping[str, Held],
        catalogue: Catalogue,
        offers: Offers,
        affinity: Affinity,
    ) -> None:
        named = {DRILL, *(rollout.id for rollout in rollouts)}
        live = {name: one for name, one in held.items() if name in named and one.live}
        self._offers = offers
        self._affinity = affinity
        known = offers.renewed(live, lambda version: _name(catalogue, version))
        splits = [split for name, one in live.items() if (split := _split(one, catalogue, known[name]))]
        # Of two rollouts of one name the one that has moved last rules, the file's later one where that is the same.
        splits.sort(key=lambda split: live[split.rollout].at)
        named_by = {settled(live[split.rollout]).target.alias: split for split in splits if split.rollout != DRILL}
        self._by_name = named_by
        # A drill stands beside the others: requests that are not of it never notice.
        self._drills = {settled(live[DRILL]).target.alias: split for split in splits if split.rollout == DRILL}

    def __bool__(self) -> bool:
        return bool(self._by_name or self._drills)

    def assign(self, route: Route | None, verdict: Verdict, asked: Asked, reach: Reach) -> Assigned | None:
        """Say where a request goes, None when no rollout has a say.

        Args:
            route: What the name that was asked for leads to.
            reach: Returns the backends of a route that the caller may use and that can serve the request.
        """
        split = self._drilled(route, verdict, asked) if self._drills else None
        split = split or _of(self._by_name, route, verdict)
        if split is None:
            return None
        backends = reach(split.route)
        both = split.candidate in backends and split.stable in backends
        others = [backend for backend in backends if backend not in (split.candidate, split.stable)]
        stable = [split.stable, *others] if split.stable in backends else others
        if not stable:
            return None
        if not both:
            return Assigned(stable, "", split)
        candidate = [split.candidate, *stable]
        kept = self._kept(split, asked)
        if kept:
            return Assigned([split.candidate] if kept == split.candidate.name else stable, "", split)
        return self._placed(split, asked, stable, candidate)

    def served(self, split: Split, session: str, backend: str) -> None:
        """Note who served a session, where that may keep what the other version's provider does not know."""
        if split.apart and session and self._affinity.get(_key(split, session)) != backend:
            self._affinity.put(_key(split, session), backend)

    def _drilled(self, route: Route | None, verdict: Verdict, asked: Asked) -> Split | None:
        split = _of(self._drills, route, verdict)
        return split if split and within(split.scope, asked.caller, repo(asked.headers)) else None

    def _kept(self, split: Split, asked: Asked) -> str:
        """Return who keeps the conversation that a request goes on with, "" for nobody or both."""
        if not (asked.bound and split.apart and asked.session):
            return ""
        kept = self._affinity.get(_key(split, asked.session))
        return kept if kept in (split.candidate.name, split.stable.name) else ""

    def _placed(self, split: Split, asked: Asked, stable: list[Backend], candidate: list[Backend]) -> Assigned:
        tongue = self._offers.language(asked) if split.tongues and asked.session else ""
        named = repo(asked.headers)
        if (
            named == MARK and split.counted and split.rollout != DRILL
        ):  # of a drill that is over: no evidence for others
            return Assigned(stable, "", split)
        if not (within(split.scope, asked.caller, named) and speaks(split.scope, tongue)):
            return Assigned(stable, "", split)
        if split.share >= 1.0:
            meets = True
        elif not asked.session or asked.wishes:
            return Assigned(stable, "", split)
        else:
            meets = share_bucket(split.rollout, asked.session) < split.share
        counted = split.counted and bool(asked.session) and not asked.wishes
        arm = ("candidate" if meets else "stable") if counted else ""
        return Assigned(candidate if meets else stable, arm, split, split.offer if meets else None, tongue, named)


def _of(splits: Mapping[str, Split], route: Route | None, verdict: Verdict) -> Split | None:
    pinned = verdict.reasons[:1] == ("pinned:header",)
    if route is not None and not pinned:
        for name in route.through:
            if name in splits:
                return splits[name]
    return splits.get(verdict.tier) if pinned or (route is not None and not route.backends) else None


def _split(held: Held, catalogue: Catalogue, offer: Offer) -> Split | None:
    """Resolve one rollout; None when this configuration has not both versions or not the name."""
    settings, state = settled(held), held.state
    target = settings.target
    names = (_name(catalogue, target.candidate), _name(catalogue, target.stable))
    usual = catalogue.route(target.alias)
    if usual is None or not all(names):
        return None
    candidate, stable = (catalogue.backends[name] for name in names)
    listed = usual.backends or (catalogue.lanes[usual.tier].backends if usual.tier else ())
    route = Route(usual.tier, tuple(dict.fromkeys((candidate, stable, *listed))), usual.names, usual.reason)
    return Split(
        state.id,
        state.step,
        state.share,
        state.phase in STEP_PHASES,
        stable,
        candidate,
        offer,
        route,
        settings.scope,
        bool(settings.scope.languages) or any(criterion.by for criterion in (*settings.guard, *settings.signal)),
    )


def _name(catalogue: Catalogue, version: str) -> str:
    """Return the full name of provider/model, "" where nobody has it."""
    route = catalogue.route(version)
    return route.backends[0].name if route is not None and len(route.backends) == 1 else ""


def _key(split: Split, session: str) -> str:
    return f"{session}:{split.rollout}"


def granted(rollouts: Sequence[Rollout], catalogue: Catalogue, models: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
    """Return, by backend, the further names that lead to it: who may use a name may be led to what a rollout puts behind it.

    Args:
        models: Names that stand in `models`.
    """
    found: dict[str, tuple[str, ...]] = {}
    for rollout in rollouts:
        alias = rollout.target.alias
        leading = [name for name in models if (route := catalogue.route(name)) and alias in route.through]
        for version in (rollout.target.candidate, rollout.target.stable):
            backend = _name(catalogue, version)
            found[backend] = (*found.get(backend, ()), alias, *leading)
    return found
