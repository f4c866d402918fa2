"""What an operator writes after an option: numbers, durations, shares and sizes, as in the config file or plain.

Each raises ValueError or argparse.ArgumentTypeError, which argparse tells.
"""

import argparse


def more_than_zero(text: str) -> float:
    """Read a number.

    >>> more_than_zero("2.5")
    2.5
    """
    number = float(text)
    if not 0 < number < 1e6:
        raise argparse.ArgumentTypeError(f"expected a number above 0, not {text!r}")
    return number


def at_least_one(text: str) -> int:
    """Read a whole number."""
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 on, not {text!r}")
    return int(text)


def seconds(text: str) -> float:
    """Read a duration; a plain number is seconds.

    >>> seconds("2m"), seconds("0.5")
    (120.0, 0.5)
    """
    return more_than_zero(text if text.replace(".", "", 1).isdigit() else str(_with_unit("duration", text)))


def share(text: str) -> float:
    """Read a share.

    >>> share("20%"), share("0.2")
    (0.2, 0.2)
    """
    return _with_unit("fraction", text if text.endswith("%") else float(text))


def sizes(text: str) -> list[int]:
    """Read sizes in bytes, commas between them.

    >>> sizes("2KB, 4KiB")
    [2000, 4096]
    """
    found = [int(_with_unit("size", part.strip())) for part in text.split(",")]
    if not all(found):
        raise argparse.ArgumentTypeError("a size is more than nothing")
    return found


def _with_unit(kind: str, value: str | float) -> float:
    from twospeed import units  # slow to load, and most commands have no such option

    try:
        return float(getattr(units, kind)(value))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
