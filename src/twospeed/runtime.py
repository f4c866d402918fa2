"""Config -> built, wired parts. One Runtime is one configuration snapshot; a reload builds the next one whole.

What must outlive a snapshot (limits, breakers, affinity) is `remember`ed once and handed on.
"""

import hashlib
import os
import random
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from urllib.parse import urlencode

from msgspec.structs import replace

from twospeed import certificates
from twospeed.config import Loaded
from twospeed.dialects import Dialect, discover
from twospeed.dialects.fim import families
from twospeed.dialects.openai_completions import Way
from twospeed.mirror import MOST_BYTES, Mirror, Twin
from twospeed.policy.access import Caller, Callers
from twospeed.policy.arms import granted
from twospeed.policy.choose import Policy
from twospeed.policy.classify import Classifier
from twospeed.policy.held import Shelf
from twospeed.policy.limit import Limit, leaving
from twospeed.policy.overload import Caps, caps
from twospeed.policy.plan import Planner
from twospeed.policy.rules import Rules
from twospeed.policy.shadow import Books
from twospeed.policy.switching import Switching
from twospeed.policy.tracing import begin
from twospeed.proxy import Proxy
from twospeed.quotas import Quotas
from twospeed.seats import Seats
from twospeed.stores.open import Memory, open_memory
from twospeed.stores.shared import Host
from twospeed.stores.shelf import FileShelf
from twospeed.types import Backend, Sink, Transport
from twospeed.upstream import AnthropicProvider, OpenAiProvider, SimulatedProvider, Tls, completions
from twospeed.upstream.attempt import Attempts
from twospeed.upstream.client import Link
from twospeed.upstream.http import HttpTransport
from twospeed.upstream.simulated import SimulatedTransport

NO_LIMIT = Limit()
TRACE_HEADERS = frozenset({b"traceparent", b"tracestate"})  # written by the proxy itself
clock = time.monotonic
_ID_BYTES = 12


def remember(loaded: Loaded, host: Host | None = None) -> Memory:
    """Open the store that a configuration names; `host`: whose worker this process is, None when it serves alone."""
    settings, url = loaded.config.stores.redis, loaded.redis_url
    redis = (settings, url) if settings is not None and url is not None else None
    return open_memory(redis, host, loaded.config.breaker, clock, random.random)


def shelf(loaded: Loaded) -> Shelf:
    """Return where rollouts are kept: in Redis for all hosts, else beside the ledger, one file for each config file."""
    settings, url = loaded.config.stores.redis, loaded.redis_url
    if settings is not None and url is not None:
        from twospeed.stores.redis.shelf import RedisShelf  # redis-py is slow to load

        return RedisShelf(settings, url)
    digest = hashlib.sha256(os.path.abspath(loaded.path).encode()).hexdigest()[:16]
    return FileShelf(loaded.ledger.with_name(f"rollouts-{digest}.state"))


class Runtime:
    """The wired parts of one snapshot.

    Args:
        before: The snapshot this one replaces; where a provider has not changed, its connections serve on.
        asides: Who hears of the records of copies, which are no requests of a client.
    """

    def __init__(
        self,
        loaded: Loaded,
        memory: Memory,
        sinks: Sequence[Sink],
        before: "Runtime | None" = None,
        asides: Sequence[Sink] = (),
    ) -> None:
        self.loaded = loaded
        self.memory = memory
        self.new_id = partial(next, ids())
        self.dialects: dict[str, Dialect] = discover()
        self.callers = callers(loaded)
        self.origins = frozenset(origin.encode() for origin in loaded.config.listen.cors)
        self.catalogue = loaded.catalogue
        self.transports = transports(loaded, before)
        self.links = {name: self._link(backend) for name, backend in self.catalogue.backends.items()}
        further = granted(loaded.config.rollouts, self.catalogue, list(loaded.config.models))
        names = {
            name: (*self.catalogue.names_of(backend), *further.get(name, ()))
            for name, backend in self.catalogue.backends.items()
        }
        self.seats: Seats = before.seats if before else Seats(_caps(loaded), clock)
        self.seats.caps = _caps(loaded)
        trace = partial(begin, ratio=_ratio(loaded), bits=random.getrandbits)
        self.mirror: Mirror = Mirror(
            list(self._twins()),
            loaded.config.shadow,
            before.mirror.books if before else Books(),
            memory.limits,
            partial(trace, {}),
            asides,
            clock,
            time.time,
            random.random,
        )
        self.classifier = Classifier(loaded.config.classify)
        self.proxy = Proxy(
            self.catalogue,
            Planner(self.catalogue.lanes, names, memory.health, memory.affinity, self._under_way),
            self.classifier,
            Attempts(self.links, memory.limits, memory.health, memory.estimates, clock, random.random),
            sinks,
            clock,
            time.time,
            self.new_id,
            trace,
            loaded.version,
            self.seats,
            Quotas(memory.limits, memory.estimates, time.time),
            self.mirror,
            self._policy(loaded),
        )

    def _under_way(self, backend: str) -> int:
        return self.links[backend].under_way

    def _policy(self, loaded: Loaded) -> Policy:
        catalogue = self.catalogue
        switching = Switching(loaded.config.sessions, catalogue.lanes, catalogue.backends, self.memory.affinity)
        watches = loaded.config.classify.mode == "observe"
        return Policy(Rules(loaded.config.rules), watches, switching if switching.active else None)

    async def close(self, after: "Runtime | None" = None) -> None:
        """Close idle connections that `after` has no use for; those in use end with their requests."""
        kept = set(after.transports.values()) if after else set()
        for transport in self.transports.values():
            if transport not in kept:
                await transport.close()
        await self.mirror.close()

    def _twins(self) -> Iterator[Twin]:
        """Reach each candidate over connections of its own, so that copies take none from requests."""
        reached: dict[str, Transport] = {}
        for rollout in self.loaded.config.rollouts:
            route = self.catalogue.route(rollout.target.candidate)
            if route is None or len(route.backends) != 1:
                continue
            backend = route.backends[0]
            if backend.provider not in reached:
                reached[backend.provider] = _transport(backend.provider, self.loaded)
            link = replace(
                self.links[backend.name], transport=reached[backend.provider], limit=NO_LIMIT, answer_limit=MOST_BYTES
            )
            minded = any(one.metric == "tool_call_invalid_rate" for one in (*rollout.guard, *rollout.signal))
            yield Twin(rollout.id, backend, link, rollout.scope, minded)

    def _link(self, backend: Backend) -> Link:
        provider = self.loaded.providers[backend.provider]
        family = backend.family or backend.model
        limit = provider.limits.get(family) or provider.limits.get("*") or NO_LIMIT
        link = Link(self.transports[backend.provider], f"{backend.provider}/{family}", limit)
        link.dialects, link.quirks = backend.dialects, provider.quirks
        link.budget = provider.retry_budget
        link.deep_limit = leaving(limit, provider.fast_share) if provider.fast_share and limit is not NO_LIMIT else None
        asked = completions(provider, backend.model)[0]
        link.completions = Way(asked.path or "", backend.suffix == "native", families().get(backend.fim))
        if not isinstance(provider, SimulatedProvider):
            link.headers = _headers(self.loaded, backend.provider, provider.auth)
            link.forward = frozenset(name.lower().encode() for name in provider.forward_headers) - TRACE_HEADERS
            link.answer_limit = provider.answer_limit
            link.query = "?" + urlencode(provider.query) if provider.query else ""
        if isinstance(provider, OpenAiProvider):
            link.account = provider.stream_usage
        elif isinstance(provider, AnthropicProvider):
            link.defaults = ((b"anthropic-version", provider.version.encode()),)
        else:
            link.headers = ((b"content-type", b"application/json"),)
            link.forward = frozenset({b"x-twospeed-simulate"})
        return link


def ids() -> Iterator[str]:
    """Make request ids, unique without asking anyone."""
    while True:
        chance = os.urandom(_ID_BYTES * 64).hex()  # the kernel is asked once for many
        for at in range(0, len(chance), 2 * _ID_BYTES):
            yield "req_" + chance[at : at + 2 * _ID_BYTES]


def _caps(loaded: Loaded) -> Caps:
    listen, tiers = loaded.config.listen, loaded.config.tiers
    return caps(
        listen.max_in_flight,
        tiers.fast.max_in_flight,
        tiers.deep.max_in_flight,
        listen.fast_share,
        listen.max_waiting,
        listen.max_wait,
    )


def _ratio(loaded: Loaded) -> float | None:
    """Return the share of requests to trace, None when traces go nowhere."""
    return loaded.config.telemetry.traces.ratio if "traces" in loaded.collectors else None


def transports(loaded: Loaded, before: Runtime | None = None) -> dict[str, Transport]:
    """Build how each provider that takes part is reached; one that was reached in the same way keeps its connections."""
    return {
        name: before.transports[name]
        if before and _reached_as_before(name, loaded, before.loaded)
        else _transport(name, loaded)
        for name, provider in loaded.providers.items()
    }


def _reached_as_before(name: str, loaded: Loaded, before: Loaded) -> bool:
    """Certificates in files may have changed under the same name, so such a provider is connected to anew."""
    provider = loaded.providers[name]
    certified = not isinstance(provider, SimulatedProvider) and provider.tls != Tls()
    same = before.providers.get(name) == provider and before.proxies.get(name) == loaded.proxies.get(name)
    return same and not certified


def _transport(name: str, loaded: Loaded) -> Transport:
    provider = loaded.providers[name]
    if isinstance(provider, SimulatedProvider):
        return SimulatedTransport(name, provider.simulate)
    return HttpTransport(
        provider.base_url,
        connections=provider.connections,
        keep_alive=provider.keep_alive,
        tls=certificates.client(provider.tls, Path(loaded.path).parent),
        proxy=loaded.proxies.get(name, ""),
    )


def _headers(loaded: Loaded, provider: str, auth: str) -> tuple[tuple[bytes, bytes], ...]:
    own = {name.lower().encode(): value.encode() for name, value in loaded.provider_headers[provider].items()}
    fixed = {b"content-type": b"application/json", b"accept-encoding": b"identity"}
    key = loaded.provider_keys.get(provider)
    if key is not None:
        name, value = (
            (b"authorization", b"Bearer " + key.encode()) if auth == "bearer" else (auth.encode(), key.encode())
        )
        fixed[name] = value
    return tuple({**fixed, **own}.items())


def callers(loaded: Loaded) -> Callers:
    """Resolve the callers. A key that may use `auto` and names nothing else may be routed to either tier."""
    keys = zip(loaded.callers, loaded.config.keys, strict=True)
    return Callers([Caller(name, digest, models, key.limits) for (name, digest, models), key in keys])
