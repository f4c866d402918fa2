"""Witnesses: which sessions met the candidate, and its requests that speak loudest, for whoever reviews a decision.

They are no part of the verdict. Both are bounded: of requests those that failed come first, then the slowest.
"""

from typing import Any

from twospeed.policy.held import Sighting

LOUDEST, SESSIONS = 20, 200  # kept


class Witnesses:
    """Those of one round."""

    def __init__(self) -> None:
        self._loud: list[tuple[bool, float, str, str]] = []  # ok, minus milliseconds, session, trace: loudest first
        self._met: dict[str, None] = {}

    def observe(self, sighting: Sighting) -> None:
        """Take one finished request; those of the stable version are passed over."""
        seen = sighting.seen
        if seen is None or seen.arm != "candidate":
            return
        session = str(seen.session)
        if len(self._met) < SESSIONS:
            self._met[session] = None
        one = (seen.ok is not False, -(seen.latency_ms or 0.0), session, sighting.trace)
        if len(self._loud) < LOUDEST or one < self._loud[-1]:
            self._loud.append(one)
            self._loud.sort()
            del self._loud[LOUDEST:]

    def figures(self) -> dict[str, Any]:
        """Return them as part of the evidence of a decision: `witnesses`, loudest first, and sessions that `met` it."""
        if not self._met:
            return {}
        loud = [
            {"trace": trace, "session": session, "latency_ms": -before, "ok": ok}
            for ok, before, session, trace in self._loud
        ]
        return {"witnesses": loud, "met": list(self._met)}

    def to_plain(self) -> list[Any]:
        """Return everything as lists, numbers and texts."""
        return [[list(one) for one in self._loud], list(self._met)]

    def load(self, plain: list[Any]) -> None:
        """Take over what `to_plain` returned."""
        loud, met = plain
        self._loud = [(bool(ok), float(before), str(session), str(trace)) for ok, before, session, trace in loud]
        self._met = dict.fromkeys(met)
