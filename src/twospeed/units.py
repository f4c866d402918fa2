"""Values that carry their unit, as operators write them: `800ms`, `2M`, `32MB`, `5%`, `0.5pp`.

Each kind is a parser (text or plain number -> number) and an annotated type for settings. Numbers without a unit
are refused where a wrong guess would hurt (durations); counts may be plain.
"""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

_NUMBER = r"(\d{1,15}(?:\.\d{1,15})?)"  # as long as a float is exact
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_THOUSANDS = {"": 1, "k": 1_000, "M": 1_000_000, "G": 1_000_000_000}
_BYTES = {"B": 1, "KB": 1_000, "MB": 1_000_000, "GB": 1_000_000_000, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def _split(value: Any, units: dict[str, Any], form: str) -> float:
    match = re.fullmatch(_NUMBER + r" *([A-Za-z%]*)", value, re.ASCII) if isinstance(value, str) else None
    if match is None or match[2] not in units:
        raise ValueError(f"expected {form}, got {_said(value)}")
    return float(match[1]) * float(units[match[2]])


def _said(value: Any) -> str:
    if isinstance(value, dict | list):
        return "a block of keys" if isinstance(value, dict) else "a list"
    if value is None:
        return "nothing"
    return repr(value)[:60] if isinstance(value, str) else str(value)[:60].lower()


def duration(value: Any) -> float:
    """Parse a duration into seconds.

    >>> duration("800ms"), duration("2m")
    (0.8, 120.0)
    """
    if value == 0 and not isinstance(value, bool):
        return 0.0
    return _split(value, _SECONDS, "a duration with a unit such as 800ms, 2s, 5m or 1h")


def count(value: Any) -> int:
    """Parse a whole number, thousands allowed.

    >>> count("2M"), count(128_000)
    (2000000, 128000)
    """
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**15:
        return value
    return _whole(_split(value, _THOUSANDS, "a whole number such as 500, 128k or 2M"), value)


def size(value: Any) -> int:
    """Parse a size into bytes; `KB` is 1,000 and `KiB` 1,024.

    >>> size("32MB"), size("16KiB")
    (32000000, 16384)
    """
    return _whole(_split(value, _BYTES, "a size with a unit such as 64KiB or 32MB"), value)


def fraction(value: Any) -> float:
    """Parse a share into 0..1, written `5%` or `0.05`.

    >>> fraction("5%"), fraction(0.25)
    (0.05, 0.25)
    """
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    share = value if plain else _split(value, {"%": 0.01}, "a share such as 5% or 0.05")
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"expected a share between 0% and 100%, got {_said(value)}")
    return float(share)


def points(value: Any) -> float:
    """Parse a difference of shares into 0..1, written in percentage points.

    >>> points("1pp"), points("0.5pp")
    (0.01, 0.005)
    """
    difference = _split(value, {"pp": 0.01}, "a difference in percentage points such as 1pp or 0.5pp")
    if difference > 1.0:
        raise ValueError(f"expected at most 100pp, got {_said(value)}")
    return difference


def _whole(number: float, value: Any) -> int:
    if number != int(number):
        raise ValueError(f"expected a whole number, got {_said(value)}")
    return int(number)


def written_duration(seconds: float) -> str:
    """Write a duration as an operator would.

    >>> written_duration(0.8), written_duration(120.0), written_duration(90.0), written_duration(0.0)
    ('800ms', '2m', '90s', '0s')
    """
    return _written(seconds, _SECONDS) if seconds else "0s"


def written_size(size_bytes: int) -> str:
    """Write a size as an operator would.

    >>> written_size(32_000_000), written_size(16_384)
    ('32MB', '16KiB')
    """
    return _written(size_bytes, _BYTES)


def written_share(share: float) -> str:
    """Write a share as an operator would.

    >>> written_share(0.05), written_share(0.125)
    ('5%', '12.5%')
    """
    return f"{share * 100:.10g}%"


def written_points(difference: float) -> str:
    """Write a difference of shares as an operator would.

    >>> written_points(0.01), written_points(0.005)
    ('1pp', '0.5pp')
    """
    return f"{difference * 100:.10g}pp"


def _written(number: float, units: dict[str, Any]) -> str:
    """Take the largest unit of which there is a whole number, else the smallest."""
    for unit, worth in sorted(units.items(), key=lambda unit: -unit[1]):
        times = number / worth
        if times > 0.5 and abs(times - round(times)) <= 1e-14 * times:  # as near as floats divide
            return f"{round(times)}{unit}"
    smallest = min(units, key=lambda unit: float(units[unit]))
    return f"{number / units[smallest]:.15g}{smallest}"


def _text(kind: str, pattern: str, *examples: Any, plain: dict[str, Any] | None = None) -> WithJsonSchema:
    text = {"type": "string", "pattern": pattern}
    forms = {"anyOf": [text, plain]} if plain else text
    return WithJsonSchema({**forms, "examples": list(examples), "x-unit": kind})


_POSITIVE = Field(gt=0)
_A_DURATION = r"^\d{1,15}(\.\d{1,15})? *(ms|s|m|h|d)$"
_ZERO = {"const": 0}
_A_COUNT = r"^\d{1,15}(\.\d{1,15})? *[kMG]?$"
_A_SIZE = r"^\d{1,15}(\.\d{1,15})? *(B|KB|MB|GB|KiB|MiB|GiB)$"
_POINTS = r"^\d{1,15}(\.\d{1,15})? *pp$"
_A_SHARE = r"^\d{1,15}(\.\d{1,15})? *%$"

Duration = Annotated[float, BeforeValidator(duration), _text("duration", _A_DURATION, "800ms", "30s", plain=_ZERO)]
PositiveDuration = Annotated[
    float, BeforeValidator(duration), _POSITIVE, _text("duration", _A_DURATION, "800ms", "30s")
]
Count = Annotated[
    int, BeforeValidator(count), _text("count", _A_COUNT, 500, "128k", plain={"type": "integer", "minimum": 0})
]
PositiveCount = Annotated[
    int,
    BeforeValidator(count),
    _POSITIVE,
    _text("count", _A_COUNT, 500, "128k", plain={"type": "integer", "minimum": 1}),
]
Dollars = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Size = Annotated[int, BeforeValidator(size), _POSITIVE, _text("size", _A_SIZE, "64KiB", "32MB")]
Fraction = Annotated[
    float,
    BeforeValidator(fraction),
    _text("share", _A_SHARE, "5%", 0.05, plain={"type": "number", "minimum": 0, "maximum": 1}),
]
Points = Annotated[float, BeforeValidator(points), _text("points", _POINTS, "1pp", "0.5pp")]
