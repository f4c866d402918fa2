"""Catalogue: every name a client may ask for, resolved once, when a configuration snapshot is built.

Exact names come first (`auto`, the tiers, aliases, `provider/model`), then globs in the order of the file, then the
bare model names of providers. The configuration has been checked before: a name that leads nowhere here belongs to a
provider that does not take part, and is left out of every list.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import translate
from typing import Any

from msgspec.structs import replace

from twospeed.policy.access import Caller
from twospeed.policy.plan import AUTO, DEFAULT_TIMEOUTS, Deadlines, Lane, Route, Tiers
from twospeed.types import TIERS, Backend, Tier, Timeouts

RESERVED = (AUTO, *TIERS)  # names with a meaning of their own
LONGEST = 256  # characters; no model has a longer name
CACHED = 4_096  # names come from clients: bounded

Models = Mapping[str, Sequence[str]]  # public name or glob -> what it leads to


class Catalogue:
    """All names of one snapshot. `lanes`: the tiers, resolved; `backends`: by name, in the order of the file."""

    def __init__(self, backends: Sequence[Backend], models: Models, tiers: Tiers) -> None:
        self.backends: Mapping[str, Backend] = {backend.name: backend for backend in backends}
        self._aliases = {name: targets for name, targets in models.items() if not is_glob(name)}
        self._pins = {f"{backend.provider}/{backend.model}": backend for backend in backends}
        self.lanes: Mapping[Tier, Lane] = {tier: self._lane(tiers, tier) for tier in TIERS}
        self._listed = {tier: tuple(getattr(tiers, tier).models) for tier in TIERS}
        self._names = self._all_names()
        self._routes = self._exact_routes()
        self._globs = [(re.compile(translate(name)), name) for name in models if is_glob(name)]
        self._models = models
        self._cache: dict[str, Route | None] = {}

    def route(self, model: str) -> Route | None:
        """Return what a model name leads to, None when it leads nowhere."""
        known = self._routes.get(model)
        if known is not None or len(model) > LONGEST:
            return known
        try:
            return self._cache[model]
        except KeyError:
            route = self._search(model)
            if len(self._cache) < CACHED:
                self._cache[model] = route
            return route

    def honoured(self, model: str) -> Route | None:
        """Return the backends that serve exactly this model, whatever `models` makes of its name; None for none."""
        bare = model.partition("/")[2] or model
        backends = tuple(b for b in self.backends.values() if b.model in (model, bare))
        return self._pinned((model,), backends, "model") if backends else None

    def names_of(self, backend: Backend) -> tuple[str, ...]:
        """Return every name a backend is reachable under; globs are no names, they only lead to some."""
        return self._names[backend.name]

    def listing(self, caller: Caller) -> list[str]:
        """Return the names a caller may ask for: auto, the tiers, aliases, then each provider/model."""
        hidden = self.backends.keys()
        return [name for name, route in self._routes.items() if name not in hidden and caller.may_use(*route.names)]

    def _search(self, model: str) -> Route | None:
        for glob, name in self._globs:
            if glob.match(model):
                return self._route(model, self._models[name])
        backends = tuple(backend for backend in self.backends.values() if backend.model == model)
        return self._pinned((model,), backends, "model") if backends else None

    def _exact_routes(self) -> dict[str, Route]:
        routes = {AUTO: Route(None, names=(AUTO,))}
        routes |= {tier: Route(tier, names=(tier,), reason="tier") for tier in TIERS}
        for name, targets in self._aliases.items():
            route = self._route(name, targets)
            if route is not None:
                routes[name] = route
        for pin, backend in self._pins.items():
            route = self._pinned(self.names_of(backend), (backend,), "backend")
            routes.setdefault(pin, route)
            routes.setdefault(backend.name, route)
        return routes

    def _route(self, name: str, targets: Sequence[str]) -> Route | None:
        """Follow a name that stands for one other name, or gather the backends of a list."""
        if len(targets) == 1:
            target = targets[0]
            if target == AUTO:
                return Route(None, names=(name, AUTO), through=(name,))
            if target in TIERS:
                return Route(target, names=(name, target), reason="tier", through=(name,))
            if target in self._aliases:
                route = self._route(target, self._aliases[target])
                if route is None:
                    return None
                return replace(route, names=(name, *route.names), through=(name, *route.through))
        backends = self._gather(targets)
        if not backends:
            return None
        same = self.names_of(backends[0]) if len(targets) == 1 else ()
        return replace(self._pinned((name, *same), backends, "alias"), through=(name,))

    def _pinned(self, names: tuple[str, ...], backends: tuple[Backend, ...], reason: str) -> Route:
        return Route(self._tier_of(names[0], backends[0]), backends, tuple(dict.fromkeys(names)), reason)

    def _tier_of(self, name: str, first: Backend) -> Tier:
        """Return the tier that lists the name itself; else the one that prefers the first backend most; else deep."""
        for tier in TIERS:
            if name in self._listed[tier]:
                return tier
        lanes = [(lane.backends.index(first), tier) for tier, lane in self.lanes.items() if first in lane.backends]
        return min(lanes, key=lambda place: place[0])[1] if lanes else "deep"

    def _lane(self, tiers: Tiers, tier: Tier) -> Lane:
        settings = getattr(tiers, tier)
        return Lane(
            self._gather(settings.models),
            deadlines(tier, settings.timeouts),
            settings.rank,
            settings.cancel_older,
            settings.keepalive_after,
            settings.when_down,
            settings.hedge.hedging() if settings.hedge else None,
            settings.resume,
            settings.limit_wait,
        )

    def _gather(self, targets: Sequence[str]) -> tuple[Backend, ...]:
        return tuple(dict.fromkeys(self._flat(targets, set())))

    def _flat(self, targets: Sequence[str], seen: set[str]) -> Iterator[Backend]:
        for target in targets:
            if target in self._pins:
                yield self._pins[target]
            elif target not in seen:
                seen.add(target)
                yield from self._flat(self._aliases.get(target, ()), seen)

    def _all_names(self) -> dict[str, tuple[str, ...]]:
        names = {backend.name: [pin, backend.name, backend.model] for pin, backend in self._pins.items()}
        for alias in self._aliases:
            for backend in self._reached(alias):
                names[backend.name].append(alias)
        for tier, lane in self.lanes.items():
            for backend in lane.backends:
                names[backend.name] += (tier, AUTO)
        return {backend: tuple(dict.fromkeys(known)) for backend, known in names.items()}

    def _reached(self, alias: str) -> tuple[Backend, ...]:
        """Return all that an alias may lead to, tiers included."""
        target = alias
        while target in self._aliases and len(self._aliases[target]) == 1:
            target = self._aliases[target][0]
        if target in RESERVED:
            return tuple(b for tier, lane in self.lanes.items() if target in (tier, AUTO) for b in lane.backends)
        return self._gather([target])


def is_glob(name: str) -> bool:
    """Say whether a key of `models` is a pattern.

    >>> is_glob("gpt-*"), is_glob("gpt-5.4")
    (True, False)
    """
    return any(mark in name for mark in "*?[")


def deadlines(tier: Tier, settings: Deadlines) -> Timeouts:
    """Return the deadlines of a tier, what is not written taken from the defaults."""
    default = DEFAULT_TIMEOUTS[tier]
    written: dict[str, Any] = {name: value for name in default.__struct_fields__ if (value := getattr(settings, name))}
    return replace(default, **written)
