"""Wishes: a request may ask, in its own body, which models and providers to try; it gets no more than it may use.

Names are those of this configuration, compared without regard to case; unknown ones are passed over. Only where a wish
leaves nobody to serve is the request refused. `sort` knows latency and throughput, which both mean the fastest first
token seen; price is passed over. Source: OpenRouter documentation, "Provider routing".
"""

from collections.abc import Sequence

from twospeed.errors import Fault, Kind
from twospeed.policy.breaker import Health
from twospeed.types import Backend, Wishes

_FASTEST = frozenset({"latency", "throughput"})


def wished(backends: Sequence[Backend], wishes: Wishes, health: Health) -> list[Backend]:
    """Return the backends that the wishes leave, in the order they ask for.

    Raises: Fault BAD_REQUEST when none is left.
    """
    left = [backend for backend in backends if _allowed(backend, wishes)]
    if wishes.sort.lower() in _FASTEST:
        left.sort(key=lambda backend: health.first_token(backend.name) or 0.0)
    if wishes.order:
        places = {name.lower(): place for place, name in reversed(list(enumerate(wishes.order)))}
        left.sort(key=lambda backend: places.get(backend.provider.lower(), len(places) + len(wishes.order)))
    if not left:
        raise Fault(Kind.BAD_REQUEST, "no provider that 'provider' leaves can serve this request", param="provider")
    return left if wishes.spares or wishes.order else left[:1]


def _allowed(backend: Backend, wishes: Wishes) -> bool:
    provider = backend.provider.lower()
    if any(provider == name.lower() for name in wishes.ignore):
        return False
    named = wishes.only or (() if wishes.spares else wishes.order)
    return not named or any(provider == name.lower() for name in named)
