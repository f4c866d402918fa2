"""Presets: what is known of well-known providers, so that a user names one and gives a key.

`use: openai` in a provider's block fills in what the block leaves out: address, how the key is sent, dialects, quirks,
and of each model its context and price. A block without `models` gets all that are known. The facts are package data
(`data/providers.json`), read only when a file says `use`; prices carry their date and are for accounting alone.
"""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from twospeed.problems import Path, nearest

_NESTED = ("quirks", "query", "headers")  # blocks of which only the keys written are replaced


@cache
def presets() -> Mapping[str, Mapping[str, Any]]:
    """Return every known provider by name, as it would be written in the file."""
    known: Mapping[str, Mapping[str, Any]] = json.loads(files("twospeed").joinpath("data/providers.json").read_bytes())
    return known


def filled(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a config file with the presets that its providers use."""
    providers = value.get("providers")
    if not isinstance(providers, dict):
        return dict(value)
    return {**value, "providers": {name: _filled(block) for name, block in providers.items()}}


def unknown(value: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """Find each `use` of a provider that nothing is known of, with what to say."""
    providers = value.get("providers")
    for name, block in providers.items() if isinstance(providers, dict) else ():
        use = block.get("use") if isinstance(block, dict) else None
        if isinstance(use, str) and use not in presets():
            meant = nearest(use, presets())
            hint = f"did you mean '{meant}'?" if meant else f"known are {', '.join(presets())}"
            yield ("providers", name, "use"), f"nothing is known of a provider '{use}', {hint}"


def _filled(block: Any) -> Any:
    use = block.get("use") if isinstance(block, dict) else None
    if not isinstance(use, str):
        return block
    preset = presets().get(use) or _stand_in(use)
    merged = {**preset, **block}
    for name in _NESTED:
        if isinstance(block.get(name), dict) and name in preset:
            merged[name] = {**preset[name], **block[name]}
    models = block.get("models")
    if isinstance(models, dict):
        known = preset.get("models", {})
        merged["models"] = {model: _model(known.get(model, {}), given) for model, given in models.items()}
    return merged


def _stand_in(use: str) -> Mapping[str, Any]:
    """Return what to read on with after an unknown name, so that the name is all that is complained of."""
    meant = presets()[nearest(use, presets()) or "openai"]
    return {"kind": meant["kind"], "base_url": meant.get("base_url", "http://unknown"), "models": {}}


def _model(known: Mapping[str, Any], given: Any) -> Any:
    if given is None:
        return dict(known)
    return {**known, **given} if isinstance(given, dict) else given
