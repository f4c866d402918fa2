"""The list of models a caller may ask for, with context windows and tiers, in OpenAI's or Anthropic's shape.

Clients that send `anthropic-version` get the latter. A name that stands for several models has the largest of their
windows: larger requests than a backend holds do not go there. Unknown windows are left out.
Source: OpenAI API reference, "Models"; Anthropic API reference, "List Models".
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from twospeed.policy.access import Caller
from twospeed.policy.catalogue import Catalogue
from twospeed.types import Backend

_BORN = "1970-01-01T00:00:00Z"  # names are made by operators: nobody knows since when


def listing(catalogue: Catalogue, caller: Caller, headers: Mapping[bytes, bytes]) -> bytes:
    """Return the body of GET /v1/models."""
    names = catalogue.listing(caller)
    if b"anthropic-version" not in headers:
        data = [_openai(name, catalogue) for name in names]
        return json.dumps({"object": "list", "data": data}).encode()
    rows = [_anthropic(name, catalogue) for name in names]
    ends = {"first_id": names[0] if names else None, "last_id": names[-1] if names else None}
    return json.dumps({"data": rows, "has_more": False, **ends}).encode()


def one(name: str, catalogue: Catalogue, caller: Caller, headers: Mapping[bytes, bytes]) -> bytes | None:
    """Return the body of GET /v1/models/{name}, None for a name the caller may not use."""
    if name not in catalogue.listing(caller):
        return None
    row = _anthropic if b"anthropic-version" in headers else _openai
    return json.dumps(row(name, catalogue)).encode()


def _openai(name: str, catalogue: Catalogue) -> dict[str, Any]:
    row = {"id": name, "object": "model", "created": 0, "owned_by": "twospeed", **_facts(name, catalogue)}
    window = row.pop("window", None)
    # Codex and vLLM's clients look for one name each, OpenRouter's for another.
    return {**row, "context_window": window, "context_length": window, "max_model_len": window} if window else row


def _anthropic(name: str, catalogue: Catalogue) -> dict[str, Any]:
    row = {"type": "model", "id": name, "display_name": name, "created_at": _BORN, **_facts(name, catalogue)}
    window = row.pop("window", None)
    return {**row, "max_input_tokens": window} if window else row


def _facts(name: str, catalogue: Catalogue) -> dict[str, Any]:
    route = catalogue.route(name)
    if route is None:
        return {}
    backends: Sequence[Backend] = route.backends
    if not backends:
        tiers = [route.tier] if route.tier else list(catalogue.lanes)
        backends = [backend for tier in tiers for backend in catalogue.lanes[tier].backends]
    window = max((backend.context for backend in backends), default=0)
    images = any(backend.images for backend in backends)
    return {"tier": route.tier or "auto", "images": images, **({"window": window} if window else {})}
