"""A small value that fits a JSON Schema, best effort, with words that make sense where a property's name is known.

Only what the schema demands is filled in. Work is bounded whatever the schema says: by depth, steps and sizes; beyond
them a value may not fit.
"""

from collections.abc import Callable, Mapping
from math import ceil, inf, isfinite
from typing import Any

from twospeed.upstream.script.pattern import sample

DEPTH_CAP = 24
STEP_CAP = 2_000
ITEMS_CAP = 64
LENGTH_CAP = 10_000
FORMATS = {
    "date-time": "2026-01-01T00:00:00Z",
    "date": "2026-01-01",
    "time": "00:00:00Z",
    "duration": "P1D",
    "email": "dev@example.com",
    "idn-email": "dev@example.com",
    "hostname": "example.com",
    "idn-hostname": "example.com",
    "ipv4": "127.0.0.1",
    "ipv6": "::1",
    "uri": "https://example.com/",
    "iri": "https://example.com/",
    "uri-reference": "README.md",
    "uri-template": "/{name}",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "json-pointer": "/name",
    "relative-json-pointer": "0",
    "regex": "TODO",
}
Flat = dict[str, Any]
MERGE: dict[str, Callable[[Any, Any], Any]] = {
    "properties": lambda a, b: {k: {"allOf": [a[k], b[k]]} if k in a and k in b else {**a, **b}[k] for k in {**a, **b}},
    "required": lambda a, b: [*a, *(name for name in b if name not in a)],
    "enum": lambda a, b: [value for value in a if value in b] or b,
    "type": lambda a, b: [kind for kind in _listed(a) if kind in _listed(b)] or b,
    "minimum": max,
    "exclusiveMinimum": max,
    "minLength": max,
    "minItems": max,
    "minProperties": max,
    "maximum": min,
    "exclusiveMaximum": min,
    "maxLength": min,
}


def instance(schema: Any, hint: Callable[[str], str]) -> Any:
    """Return a small value for a schema.

    Args:
        schema: A JSON Schema, decoded; True and {} allow anything.
        hint: Text for a string property of this name ("" for one without a name); used where the schema leaves a choice.

    >>> instance({"type": "object", "properties": {"n": {"type": "integer", "minimum": 3}}, "required": ["n"]}, str)
    {'n': 3}
    """
    return _Draft(schema, hint).value(schema, "", 0, 0)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: Any, default: float) -> float:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else default


def _count(value: Any, cap: int) -> int:
    return min(int(_number(value, 0)), cap)


class _Draft:
    """One value in the making; `steps` bounds the work on schemas that fan out."""

    def __init__(self, root: Any, hint: Callable[[str], str]) -> None:
        self.root = root
        self.hint = hint
        self.steps = 0
        self.make: Mapping[str, Callable[[Flat, str, int, int], Any]] = {
            "null": lambda *_: None,
            "object": self._object,
            "array": self._array,
            "string": self._string,
            "boolean": lambda _flat, _name, nth, _depth: bool(nth % 2),
            "integer": self._integer,
            "number": self._float,
        }

    def value(self, schema: Any, name: str, nth: int, depth: int) -> Any:
        """Return a value; different `nth` give different values where the schema has room for that."""
        flat = self._flat(schema, depth)
        if "const" in flat:
            return flat["const"]
        if isinstance(flat.get("enum"), list) and flat["enum"]:
            return flat["enum"][nth % len(flat["enum"])]
        kind = self._kind(flat)
        return self.make[kind](flat, name, nth, depth) if depth <= DEPTH_CAP else None

    def _kind(self, flat: Flat) -> str:
        kinds = [kind for kind in _listed(flat.get("type", [])) if kind in self.make]
        if kinds:
            return "null" if "null" in kinds else str(kinds[0])
        if "properties" in flat or "required" in flat:
            return "object"
        return "array" if "items" in flat or "prefixItems" in flat else "string"

    def _flat(self, schema: Any, depth: int) -> Flat:
        self.steps += 1
        if depth > DEPTH_CAP or self.steps > STEP_CAP:
            return {}
        parts = [{key: value for key, value in _dict(schema).items() if key not in ("$ref", "allOf", "anyOf", "oneOf")}]
        parts += [self._flat(part, depth + 1) for part in self._parts(_dict(schema))]
        return _merged(parts)

    def _parts(self, schema: Flat) -> list[Any]:
        parts = [self._target(schema["$ref"])] if isinstance(schema.get("$ref"), str) else []
        parts += [part for part in _listed(schema.get("allOf", [])) if isinstance(part, dict)]
        for key in ("anyOf", "oneOf"):
            branches = [part for part in _listed(schema.get(key, [])) if isinstance(part, dict)]
            nothing = [part for part in branches if part.get("type") == "null"]
            parts += (nothing or branches)[:1]
        return parts

    def _target(self, ref: str) -> Any:
        node = self.root
        for step in ref.split("/")[1:]:
            children = {str(n): child for n, child in enumerate(node)} if isinstance(node, list) else _dict(node)
            node = children.get(step.replace("~1", "/").replace("~0", "~"), {})
        return node

    def _object(self, flat: Flat, _name: str, nth: int, depth: int) -> Any:
        properties = _dict(flat.get("properties"))
        names = self._names(flat, properties)
        other = flat.get("additionalProperties")
        return {name: self.value(properties.get(name, other), name, nth, depth + 1) for name in names}

    def _names(self, flat: Flat, properties: Flat) -> list[str]:
        names = [name for name in _listed(flat.get("required", [])) if isinstance(name, str)]
        for name in names:
            needed = _listed(_dict(flat.get("dependentRequired")).get(name, []))
            names += [other for other in needed if other not in names]
        least = _count(flat.get("minProperties"), ITEMS_CAP)
        names += [name for name in properties if name not in names][: max(0, least - len(names))]
        pattern = str(_dict(flat.get("propertyNames")).get("pattern", "^key[a-z]+$"))
        missing = range(max(0, least - len(names)))
        return names + [sample(pattern, len(sample(pattern)) + n) for n in missing]

    def _array(self, flat: Flat, name: str, nth: int, depth: int) -> Any:
        first = _listed(flat.get("prefixItems", []))
        least = max(_count(flat.get("minItems"), ITEMS_CAP), 1 if "contains" in flat else 0)
        rest = flat.get("items", flat.get("contains", {}))
        schemas = [first[n] if n < len(first) else rest for n in range(least)]
        return [self.value(item, name, nth + n, depth + 1) for n, item in enumerate(schemas)]

    def _string(self, flat: Flat, name: str, nth: int, _depth: int) -> Any:
        least = _count(flat.get("minLength"), LENGTH_CAP)
        most = max(least, int(_number(flat.get("maxLength"), LENGTH_CAP)))
        if isinstance(flat.get("pattern"), str):
            return sample(flat["pattern"], least)
        text = FORMATS.get(str(flat.get("format"))) or self.hint(name)
        mark = str(nth) if nth else ""
        return text[: most - len(mark)].ljust(least - len(mark), "a") + mark if len(mark) <= most else mark[:most]

    def _integer(self, flat: Flat, _name: str, nth: int, _depth: int) -> Any:
        return int(_fitting(flat, nth, whole=True))

    def _float(self, flat: Flat, _name: str, nth: int, _depth: int) -> Any:
        return _fitting(flat, nth, whole=False)


def _fitting(flat: Flat, nth: int, whole: bool) -> float:
    """Return the nth of the likely numbers that fit; 1 where none does."""
    low = max(_number(flat.get("minimum"), -inf), _number(flat.get("exclusiveMinimum"), -inf))
    high = min(_number(flat.get("maximum"), inf), _number(flat.get("exclusiveMaximum"), inf))
    step = _number(flat.get("multipleOf"), 1) or 1
    starts = [1, 0, *_multiples(low, step), *_multiples(high, step), low, high, (low + high) / 2]
    likely = (start + sign * n * step for n in range(nth + 1) for sign in (1, -1) for start in starts)
    fitting = list(dict.fromkeys(number for number in likely if _fits(number, flat, whole))) or [1]
    return fitting[nth % len(fitting)]


def _multiples(bound: float, step: float) -> list[float]:
    quotient = bound / step
    return [(ceil(quotient) + n) * step for n in (0, 1, -1)] if abs(quotient) < 1e15 else []


def _fits(number: float, flat: Flat, whole: bool) -> bool:
    if not isfinite(number) or (whole and number != int(number)):
        return False
    step = _number(flat.get("multipleOf"), 0)
    return (
        _number(flat.get("minimum"), -inf) <= number <= _number(flat.get("maximum"), inf)
        and _number(flat.get("exclusiveMinimum"), -inf) < number < _number(flat.get("exclusiveMaximum"), inf)
        and not (step and (number / step) % 1)
    )


def _merged(parts: list[Flat]) -> Flat:
    flat: Flat = {}
    for part in parts:
        for key, value in part.items():
            both = key in flat and type(flat[key]) is type(value) and key in MERGE
            flat[key] = MERGE[key](flat[key], value) if both else value
    return flat
