"""A rollback drill: let a version in, meet it, take it back, and look how long anybody still met it.

    begin -> traffic until every server has served the candidate -> decision (a signal, or a fault for the judge to find)
          -> more traffic -> the verdict

Nothing here knows how the server is told; that is handed in as `Control`.
"""

import asyncio
from typing import Any, Protocol

from twospeed.drill.rollback_traffic import Traffic, clock
from twospeed.policy.drilling import WITHIN, Finding, judged

ENOUGH = 5  # requests that met the candidate at each server before the decision
MET_WITHIN = 10.0  # seconds for that
FOUND_WITHIN = 16.0  # seconds for the judge to find a fault
AFTER = 2.0  # seconds of traffic beyond what is allowed
LOOK_EVERY = 0.05
OVER = ("rolling_back", "rolled_back", "gone")


class Control(Protocol):
    """How the server is told."""

    async def abort(self) -> None:
        """Take the candidate back."""

    async def phase(self) -> str:
        """Say in which phase the rollout of the drill is, "gone" when it is over."""


class Unfinished(Exception):
    """The drill could not be held to its end; the message says why."""


async def hold(traffic: Traffic, control: Control, fault: bytes = b"") -> Finding:
    """Hold a drill whose rollout has begun.

    Args:
        fault: Header value of an order to the simulated candidate; "" to take it back by signal.

    Raises: Unfinished.
    """
    sending = asyncio.create_task(traffic.run())  # ended and awaited below
    try:
        await _met(traffic)
        if fault:
            traffic.also = ((b"x-twospeed-simulate", fault),)
            decided_at = await _found(control)
            traffic.also = ()
        else:
            decided_at = clock()
            await control.abort()
        await asyncio.sleep(WITHIN + AFTER)
    finally:
        traffic.stop()
        await sending
    return judged(traffic.seen, decided_at, traffic.servers)


async def _met(traffic: Traffic) -> None:
    """Wait until every server has served the candidate. Raises: Unfinished."""
    began = clock()
    while not all(traffic.met(server) >= ENOUGH for server in traffic.servers):
        if clock() - began > MET_WITHIN:
            raise Unfinished(_unmet(traffic))
        await asyncio.sleep(LOOK_EVERY)


def _unmet(traffic: Traffic) -> str:
    missing = [server for server in traffic.servers if traffic.met(server) < ENOUGH]
    answers = [one for one in traffic.seen if one.server in missing]
    if not any(one.ok for one in answers):
        return f"no request to {', '.join(missing)} was answered well: is the address right, and the caller's key?"
    return (
        f"the candidate was not met at {', '.join(missing)} within {MET_WITHIN:.0f} s:"
        " may this caller's key use it, and is it the same fleet as the admin listener's?"
    )


async def _found(control: Control) -> float:
    """Wait for the judge; returns the last instant at which it had surely not decided. Raises: Unfinished."""
    began = before = clock()
    while clock() - began < FOUND_WITHIN:
        now = clock()
        if await control.phase() in OVER:
            return before
        before = now
        await asyncio.sleep(LOOK_EVERY)
    raise Unfinished(f"the judge did not find the fault within {FOUND_WITHIN:.0f} s")


def figures(finding: Finding, about: dict[str, Any]) -> dict[str, Any]:
    """Return the report of a drill for machines."""
    return {"drill": "rollback", **about, **{name: getattr(finding, name) for name in finding.__struct_fields__}}
