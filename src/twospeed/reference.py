"""Reference: the JSON Schema that editors complete from and docs/config.md, made from the settings classes; and what is
made from the table of instruments: docs/metrics.md, the dashboard, the alerts.

`python -m twospeed.reference` (or `make docs`) writes them; a test says when they are stale.
"""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

from pydantic.json_schema import models_json_schema

from twospeed import shape
from twospeed.config import FREE_KEYS, Config
from twospeed.presets import presets
from twospeed.telemetry import alerts, grafana, tables
from twospeed.types import Settings
from twospeed.units import written_duration, written_share, written_size

SCHEMA_FILE = Path("config/schema.json")
DOCS_FILE = Path("docs/config.md")
METRICS_FILE = Path("docs/metrics.md")
DASHBOARD_FILE = Path("deploy/grafana/dashboard.json")
ALERTS_FILE = Path("deploy/prometheus/alerts.yaml")

_REFERENCE = r"^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+)$"
_REFERENCE_OR_DIGEST = r"^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+|sha256:[0-9a-fA-F]{64})$"
_WRITTEN: Mapping[str, Any] = {"duration": written_duration, "size": written_size, "share": written_share}
_NOISE = ("$ref", "$defs", "title", "discriminator", "writeOnly", "format", "default")
_STANDS = re.compile(r"^`[^`]*`(( and| with) `[^`]*`)?( in the config file)?( \(R\d+\))?[:.,] *")  # "`listen`: "
_NOUNS = {"string": "text", "boolean": "`true`, `false`", "integer": "whole number", "number": "number"}

_INTRODUCTION = f"""# The config file

One YAML file, read by `twospeed serve --config F`. Only `providers` and `tiers` are needed. `config/quickstart.yaml` is a
small one, `config/twospeed.yaml` shows every key. Generated from the code by `make docs`: do not edit.

- **Check** it with `twospeed validate F`: every problem in one run, each with line, column and path. The path of a key is
  the one used below: `tiers.fast.timeouts.idle`.
- **Unknown keys** are refused. Top-level keys that begin with `{FREE_KEYS}` are yours, a place for anchors (`&`, `*`, `<<`).
- **Durations** and **sizes** carry their unit: `800ms`, `2s`, `5m`, `1h`; `64KiB`, `32MB`. **Counts** may: `500`, `128k`, `2M`.
  **Shares** are written `5%` or `0.05`.
- **Secrets** never stand in the file: write `env:NAME` or `file:PATH` (relative to the file), for keys of callers and of
  the admin listener also `sha256:HEX`, the digest of the key (`printf %s "$KEY" | sha256sum`).
- **Who takes part**: a provider whose `when` variable is not set, or with an `unless` variable set, is left out of every
  list. A tier without any backend left is an error.
- **Well-known providers** need only `use: NAME` and what differs: {", ".join(presets())}. The block's own keys win; the key is
  taken from the provider's usual variable, such as `env:OPENAI_API_KEY`.
- **Names**: a client may ask for `auto` (classified), `fast`, `deep`, a name of `models`, or `provider/model`; what is none of
  these is tried against the globs of `models`, in the order of the file, and then as the bare name of a provider's model.
"""


def schema() -> dict[str, Any]:
    """Return the JSON Schema of the config file: no references inside, values as operators write them."""
    cleaned = deepcopy(_cleaned()[Config])
    _allow_presets(cleaned["properties"]["providers"])
    cleaned["patternProperties"] = {f"^{FREE_KEYS}": {"description": "Yours: a place for anchors."}}
    head = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "twospeed config"}
    published: dict[str, Any] = _without_units({**head, **cleaned})
    return published


def _allow_presets(providers: dict[str, Any]) -> None:
    """Let a provider's block say `use` instead of its kind and what that needs."""
    for block in providers.get("patternProperties", {}).values():
        keys = {key: node for kind in block["oneOf"] for key, node in kind["properties"].items() if key != "kind"}
        keys["use"] = {**keys["use"], "enum": list(presets())}
        block["oneOf"].append(
            {"type": "object", "properties": keys, "required": ["use"], "additionalProperties": False}
        )


def document() -> str:
    """Return docs/config.md: each block of keys once, under all the paths it may stand at."""
    parts = [_INTRODUCTION]
    parts += [_block(owner, paths) for owner, paths in _blocks().items()]
    return "\n".join(parts)


@cache
def _cleaned() -> dict[type[Settings], dict[str, Any]]:
    """Return the schema of every class of settings, each key described."""
    owners = list(_blocks())
    references, found = models_json_schema([(owner, "validation") for owner in owners])
    classes = found["$defs"]
    names = {owner: references[owner, "validation"]["$ref"].rpartition("/")[2] for owner in owners}
    for owner, name in names.items():
        for key, node in classes[name]["properties"].items():
            node["description"] = shape.description(owner, key)
    return {owner: _clean(classes[name], classes) for owner, name in names.items()}


def _clean(node: Mapping[str, Any], classes: Mapping[str, Any]) -> dict[str, Any]:
    """Put classes in place of references, leave out what only pydantic needs, write defaults with their unit."""
    if "$ref" in node:
        node = {**classes[node["$ref"].rpartition("/")[2]], **node}
    kept = {key: value for key, value in node.items() if key not in _NOISE}
    kept |= _below(node, classes)
    choices = [choice for choice in kept.pop("anyOf", ()) if choice != {"type": "null"}]
    kept = {**choices[0], **kept} if len(choices) == 1 else {**kept, **({"anyOf": choices} if choices else {})}
    if "description" in kept:
        kept["description"] = _plain(kept["description"])
    if _is_secret(node):
        kept["pattern"] = _REFERENCE_OR_DIGEST if "sha256:" in kept.get("description", "") else _REFERENCE
    return kept | _default(node.get("default"), kept.get("x-unit"))


def _below(node: Mapping[str, Any], classes: Mapping[str, Any]) -> dict[str, Any]:
    """Clean whatever schemas a schema holds."""
    found: dict[str, Any] = {}
    for key in ("properties", "patternProperties"):
        if key in node:
            found[key] = {name: _clean(child, classes) for name, child in node[key].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(node.get(key), dict):
            found[key] = _clean(node[key], classes)
    for key in ("anyOf", "oneOf"):
        if key in node:
            found[key] = [_clean(choice, classes) for choice in node[key]]
    for choice in found.get("oneOf", ()):  # a block in YAML must say its kind, whatever the default of the class
        choice["required"] = list(dict.fromkeys(["kind", *choice.get("required", ())]))
    if "patternProperties" in found:
        found["additionalProperties"] = False
    return found


def _is_secret(node: Mapping[str, Any]) -> bool:
    return any(choice.get("format") == "password" for choice in (node, *node.get("anyOf", ())))


def _default(value: Any, unit: str | None) -> dict[str, Any]:
    """Write a default as operators do; blocks show theirs key by key."""
    if value is None or isinstance(value, dict):
        return {}
    written = _WRITTEN.get(unit or "")
    return {"default": written(value) if written else value}


def _plain(description: str) -> str:
    """Leave out examples in Python and line breaks."""
    return " ".join(description.partition(">>>")[0].split())


def _without_units(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _without_units(value) for key, value in node.items() if key != "x-unit"}
    return [_without_units(value) for value in node] if isinstance(node, list) else node


def _blocks() -> dict[type[Settings], list[str]]:
    """Return every class of settings with the paths it stands at, in the order of the file."""
    found: dict[type[Settings], list[str]] = {}
    for entry in shape.entries(Config):
        path = ".".join(entry.path[:-1])
        paths = found.setdefault(entry.owner, [])
        if path not in paths:
            paths.append(path)
    return found


def _block(owner: type[Settings], paths: Sequence[str]) -> str:
    properties = _cleaned()[owner]["properties"]
    kind = properties.get("kind", {}).get("const", "")
    title = ", ".join(f"`{path}`" for path in paths if path) or "Top level"
    with_kind = f" with `kind: {kind}`" if kind else ""
    lines = [
        f"## {title}{with_kind}",
        "",
        _prose(owner),
        "",
        "| key | value | default | meaning |",
        "|---|---|---|---|",
    ]
    needed = {name for name, field in owner.model_fields.items() if field.is_required() or (kind and name == "kind")}
    rows = [_row(name, node, name in needed) for name, node in properties.items()]
    return "\n".join([*lines, *rows, ""])


def _prose(owner: type[Settings]) -> str:
    """Return what a class says of itself beyond where it stands; else what its file says."""
    told = _STANDS.sub("", _plain(owner.__doc__ or ""))
    told = told or str(sys.modules[owner.__module__].__doc__).partition("\n")[0]
    return told[:1].upper() + told[1:]


def _row(name: str, node: Mapping[str, Any], needed: bool) -> str:
    default = "**needed**" if needed else f"`{_shown(node['default'])}`" if "default" in node else ""
    cells = (f"`{name}`", _value(node), default, node.get("description", ""))
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _shown(default: Any) -> str:
    if isinstance(default, float):
        return f"{default:g}"
    return default if isinstance(default, str) else json.dumps(default)


def _value(node: Mapping[str, Any]) -> str:
    """Say in a few words what may be written."""
    if "x-unit" in node:
        return str(node["x-unit"])
    if "enum" in node:
        return ", ".join(f"`{word}`" for word in node["enum"])
    if "const" in node:
        return f"`{node['const']}`"
    if "anyOf" in node or "oneOf" in node:
        return " or ".join(dict.fromkeys(_value(choice) for choice in node.get("anyOf", node.get("oneOf", ()))))
    if node.get("type") == "array":
        return f"list of {_value(node['items'])}"
    if node.get("type") == "object":
        return _block_value(node)
    return _NOUNS.get(node.get("type", ""), "")


def _block_value(node: Mapping[str, Any]) -> str:
    if "properties" in node:
        return "block"
    inner = next(iter(node.get("patternProperties", {}).values()), node.get("additionalProperties"))
    return f"{_value(inner)} per name" if isinstance(inner, Mapping) else "block"


def write(root: Path) -> None:
    """Write the files below the root of the repository."""
    (root / SCHEMA_FILE).write_text(rendered_schema())
    (root / DOCS_FILE).write_text(document())
    (root / METRICS_FILE).write_text(tables.document())
    (root / DASHBOARD_FILE).write_text(grafana.document())
    (root / ALERTS_FILE).write_text(alerts.document())


def rendered_schema() -> str:
    """Return the text of config/schema.json, the same as `twospeed schema` prints."""
    return json.dumps(schema(), indent=2) + "\n"


if __name__ == "__main__":
    write(Path.cwd())
