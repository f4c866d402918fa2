"""What a snapshot looks up instead of counting it: limits, breakers, the process itself. Each is bounded."""

import os
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from platform import python_version

from twospeed import __version__
from twospeed.policy.breaker import Health, Status
from twospeed.policy.limit import Level, Limits
from twospeed.policy.shadow import Books
from twospeed.telemetry.conventions import SEMCONV
from twospeed.telemetry.instruments import (
    BREAKER_STATE,
    BUILD,
    CPU,
    LIMIT,
    LIMIT_LEFT,
    LIMIT_USED,
    MEMORY,
    OTHER,
    SHADOW_COMPARED,
    SHADOW_DIFFERED,
    SHADOW_DROPPED,
    SHADOW_FAULTS,
    SHADOW_HELD,
    SHADOW_SENT,
    SHADOW_TOKENS,
    SHADOW_UNDER_WAY,
    STARTED,
    WORKERS,
)
from twospeed.telemetry.metrics import Reading
from twospeed.types import Backend

MOST_BACKENDS = 50  # told apart; the others are counted together
MOST_LEVELS = 70  # limits told, the fullest first
MOST_SHADOWS = 3  # rollouts told apart in what is counted of copies, those with most copies first
MOST_KINDS = 6  # kinds of fault of each, the most frequent first

_PAGE = os.sysconf("SC_PAGE_SIZE")


def limits(of: Limits) -> Iterator[Reading]:
    """Look up how full every limit is; of too many, the fullest."""
    levels = of.usage()
    if len(levels) > MOST_LEVELS:
        levels = sorted(levels, key=_fullness, reverse=True)[:MOST_LEVELS]
    for level in levels:
        labels = (level.pool, level.dimension)
        yield Reading(LIMIT, labels, level.limit)
        yield Reading(LIMIT_USED, labels, level.used)
        yield Reading(LIMIT_LEFT, labels, max(0, level.limit - level.used))


def breakers(health: Health, backends: Mapping[str, Backend]) -> Iterator[Reading]:
    """Look up the breaker of every backend of the configuration; one never tried is closed."""
    states = health.states()
    rest: Counter[Status] = Counter()
    for place, (name, backend) in enumerate(backends.items()):
        state = states.get(name, Status.CLOSED)
        if place >= MOST_BACKENDS:
            rest[state] += 1
            continue
        labels = (backend.provider, backend.model, backend.region)
        for status in Status:
            yield Reading(BREAKER_STATE, (*labels, status.value), int(status is state))
    for state, count in rest.items():
        yield Reading(BREAKER_STATE, (OTHER, OTHER, OTHER, state.value), count)


def shadows(books: Books) -> Iterator[Reading]:
    """Look up what was counted of copies; nothing while there were none."""
    if not (books.sent or books.dropped):
        return
    told = [rollout for rollout, _ in books.sent.most_common(MOST_SHADOWS)]
    for instrument, counts in ((SHADOW_SENT, books.sent), (SHADOW_COMPARED, books.compared)):
        for rollout in told:
            yield Reading(instrument, (rollout,), counts[rollout])
        if len(counts) > len(told):
            yield Reading(instrument, (OTHER,), counts.total() - sum(counts[rollout] for rollout in told))
    for reason, count in books.dropped.items():
        yield Reading(SHADOW_DROPPED, (reason,), count)
    for kind, count in books.tokens.items():
        yield Reading(SHADOW_TOKENS, (kind,), count)
    yield Reading(SHADOW_UNDER_WAY, (), books.under_way)
    yield Reading(SHADOW_HELD, (), books.held)
    for instrument, pairs in ((SHADOW_DIFFERED, books.differed), (SHADOW_FAULTS, books.faults)):
        for rollout in told:
            of_it = Counter({what: count for (whose, what), count in pairs.items() if whose == rollout})
            for what, count in of_it.most_common(MOST_KINDS):
                yield Reading(instrument, (rollout, what), count)


def process(wall: Callable[[], float] = time.time) -> Callable[[], Iterator[Reading]]:
    """Return a watch over this process; it counts as started now."""
    started = wall()

    def watch() -> Iterator[Reading]:
        yield Reading(BUILD, (__version__, python_version(), SEMCONV), 1)
        yield Reading(WORKERS, (), 1)
        yield Reading(STARTED, (), started)
        used = resource.getrusage(resource.RUSAGE_SELF)
        yield Reading(CPU, (), used.ru_utime + used.ru_stime)
        yield Reading(MEMORY, (), resident())

    return watch


def resident() -> int:
    """Return the bytes of memory resident now, or at its peak where the system does not tell."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * _PAGE
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1_024


def _fullness(level: Level) -> float:
    return level.used / level.limit
