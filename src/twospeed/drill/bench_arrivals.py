"""When requests come: at random, as from many independent users, and told by a clock finer than an event loop's.

Source: a Poisson process; the time between two arrivals is exponentially distributed.
"""

import math
from collections.abc import Callable, Iterable, Iterator


def poisson(rate: float, duration: float, roll: Callable[[], float]) -> Iterator[float]:
    """Yield the instants of arrivals, in seconds from the start.

    Args:
        rate: Mean number of arrivals in a second.
        roll: Chance, in [0, 1).

    >>> [round(at, 2) for at in poisson(10, 0.2, lambda: 0.5)]
    [0.07, 0.14]
    """
    at = 0.0
    while (at := at - math.log(1.0 - roll()) / rate) < duration:
        yield at


def keep_time(
    arrivals: Iterable[float],
    start: float,
    clock: Callable[[], float],
    wait: Callable[[float], bool],
    arrive: Callable[[float], object],
) -> None:
    """Call `arrive` with each instant when it has come, those already past at once.

    It blocks, so it has a thread of its own: loops wait in whole milliseconds, which would count as the server's time.

    Args:
        arrivals: Seconds from `start`, in order.
        wait: Waits for so many seconds; true when there is no more to come.
    """
    for arrival in arrivals:
        due = start + arrival
        if wait(max(0.0, due - clock())):
            return
        arrive(due)
