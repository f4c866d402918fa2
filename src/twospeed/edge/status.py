"""What one serving process says about itself: plain data for `/admin/status` and `/admin/config`, never a secret."""

import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, SecretStr

from twospeed import __version__
from twospeed.config import Loaded
from twospeed.policy.breaker import Status
from twospeed.secrets import is_reference
from twospeed.stores.open import Memory
from twospeed.telemetry.conventions import SEMCONV

MASKED = "***"


def status(loaded: Loaded, memory: Memory) -> dict[str, Any]:
    """Say what is served and how it goes; seconds, tokens and requests as numbers."""
    return {
        "version": __version__,
        "semconv": SEMCONV,
        "pid": os.getpid(),
        "now": round(time.time(), 3),
        "config": {"path": loaded.path, "version": loaded.version, "warnings": [str(w) for w in loaded.warnings]},
        "tiers": {tier: [backend.name for backend in lane.backends] for tier, lane in loaded.catalogue.lanes.items()},
        "backends": backends(loaded, memory),
        "limits": limits(memory),
        "left_out": dict(loaded.left_out),
        "store": {"name": memory.name, "ok": memory.well()},
    }


def backends(loaded: Loaded, memory: Memory) -> list[dict[str, Any]]:
    """Say of every backend where it is used, how its breaker stands and how fast it answered of late."""
    states = memory.health.states()
    lanes = loaded.catalogue.lanes
    return [
        {
            "name": name,
            "provider": backend.provider,
            "model": backend.model,
            "region": backend.region,
            "tiers": [tier for tier, lane in lanes.items() if backend in lane.backends],
            "breaker": states.get(name, Status.CLOSED).value,
            "first_token": _rounded(memory.health.first_token(name)),
        }
        for name, backend in loaded.catalogue.backends.items()
    ]


def limits(memory: Memory) -> list[dict[str, Any]]:
    """Say how full every limit is."""
    return [
        {**level._asdict(), "left": max(0, level.limit - level.used)}
        for level in sorted(memory.limits.usage(), key=lambda level: (level.pool, level.dimension))
    ]


def shown(value: Any, name: str = "") -> Any:
    """Return settings as plain data with every secret masked; references to secrets stay readable.

    Any header may be one.

    >>> shown({"headers": {"x-api-key": "k", "authorization": "env:TOKEN"}, "port": 1})
    {'headers': {'x-api-key': '***', 'authorization': 'env:TOKEN'}, 'port': 1}
    """
    if isinstance(value, SecretStr):
        return _masked(value.get_secret_value())
    if isinstance(value, BaseModel):
        return {field: shown(getattr(value, field), field) for field in type(value).model_fields}
    if isinstance(value, Mapping):
        return {key: _masked(item) if name == "headers" else shown(item, str(key)) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [shown(item, name) for item in value]
    return value


def _masked(text: str) -> str:
    return text if is_reference(text) else MASKED


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 4)
