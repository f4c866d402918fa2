"""Values that carry their unit, as operators write them: `800ms`, `2M`, `32MB`, `5%`.

Each kind is a parser (text or plain number -> number) and an annotated type for settings. Numbers without a unit
are refused where a wrong guess would hurt (durations); counts may be plain.
"""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

_NUMBER = r"(\d+(?:\.\d+)?)"
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_THOUSANDS = {"": 1, "k": 1_000, "M": 1_000_000, "G": 1_000_000_000}
_BYTES = {"B": 1, "KB": 1_000, "MB": 1_000_000, "GB": 1_000_000_000, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def _split(value: Any, units: dict[str, Any], form: str) -> float:
    match = re.fullmatch(_NUMBER + r"\s*([A-Za-z%]*)", value) if isinstance(value, str) else None
    if match is None or match[2] not in units:
        raise ValueError(f"expected {form}, got {value!r}")
    return float(match[1]) * float(units[match[2]])


def duration(value: Any) -> float:
    """Parse a duration into seconds.

    >>> duration("800ms"), duration("2m")
    (0.8, 120.0)
    """
    if value == 0:
        return 0.0
    return _split(value, _SECONDS, "a duration with a unit such as 800ms, 2s, 5m or 1h")


def count(value: Any) -> int:
    """Parse a whole number, thousands allowed.

    >>> count("2M"), count(128_000)
    (2000000, 128000)
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
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
    number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
    share = number if number is not None else _split(value, {"%": 0.01}, "a share such as 5% or 0.05")
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"expected a share between 0% and 100%, got {value!r}")
    return share


def _whole(number: float, value: Any) -> int:
    if number != int(number):
        raise ValueError(f"expected a whole number, got {value!r}")
    return int(number)


def _text(pattern: str, *examples: Any) -> WithJsonSchema:
    return WithJsonSchema({"type": ["string", "number"], "pattern": pattern, "examples": list(examples)})


_POSITIVE = Field(gt=0)
Duration = Annotated[float, BeforeValidator(duration), _text(r"^\d+(\.\d+)?(ms|s|m|h|d)$", "800ms", "30s")]
PositiveDuration = Annotated[
    float, BeforeValidator(duration), _POSITIVE, _text(r"^\d+(\.\d+)?(ms|s|m|h|d)$", "800ms", "30s")
]
Count = Annotated[int, BeforeValidator(count), _text(r"^\d+(\.\d+)?[kMG]?$", 500, "128k")]
PositiveCount = Annotated[int, BeforeValidator(count), _POSITIVE, _text(r"^\d+(\.\d+)?[kMG]?$", 500, "128k")]
Size = Annotated[int, BeforeValidator(size), _POSITIVE, _text(r"^\d+(\.\d+)?(B|KB|MB|GB|KiB|MiB|GiB)$", "32MB")]
Fraction = Annotated[float, BeforeValidator(fraction), _text(r"^\d+(\.\d+)?%$", "5%", 0.05)]
