"""What people ask of the rollouts of a host: signals, drills, flags set by hand. Each is tried, and refused in words.

A signal is a move that is put on the shelf; where somebody else was first it is tried anew on what there is then. Whoever is
answered finds it served here.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from twospeed.control.following import Following
from twospeed.policy.held import Away, Denied, Held, Move, Shelf, begun, changed, flagged, moved, opened, settled
from twospeed.policy.rollout import FLAGS, Phase, Rollout, Scope, Signal

TRIES = 5  # of a signal that others keep overtaking
_AGAIN = {  # signals that are done when the rollout is there already, said twice or not
    Signal.PAUSE: (Phase.PAUSED,),
    Signal.ABORT: (Phase.ROLLING_BACK, Phase.ROLLED_BACK),
    Signal.PROMOTE: (Phase.PROMOTED,),
    Signal.START: (Phase.PREFLIGHT, Phase.SHADOW, Phase.BAKING),
    Signal.RESUME: (Phase.BAKING,),
    Signal.RETRY: (Phase.DRAFT,),
}
PEOPLES = tuple(_AGAIN)  # signals that people may give


class Watch(Protocol):
    """Who looks after the rollouts."""

    async def start(self) -> None:
        """Learn how they stand, where the config file names some."""

    async def awake(self) -> None:
        """See that the shelf is read though the config file names no rollout. Raises: Away."""

    def look(self) -> None:
        """Look again at once."""


async def _no_drill(rollout: Rollout) -> str:
    return "no rollback drill is known" if any(gate.drill_age for gate in rollout.gates) else ""


class People:
    """Takes what people ask for.

    `preflight`: says why the gates other than the shadow are closed, "" when they are open; may be replaced.

    Args:
        wall: Seconds since the epoch.
    """

    def __init__(self, shelf: Shelf, following: Following, watch: Watch, wall: Callable[[], float]) -> None:
        self.preflight: Callable[[Rollout], Awaitable[str]] = _no_drill
        self._shelf = shelf
        self._following = following
        self._watch = watch
        self._wall = wall

    async def act(self, name: str, signal: Signal, actor: str, reason: str, expect: int | None = None) -> Held:
        """Give a signal.

        Args:
            expect: The version that it is meant for; None for whichever there is.

        Raises: Denied.
        """
        if signal not in PEOPLES:
            raise Denied("impossible", f"'{signal}' is not given by people")
        try:
            await self._watch.start()
            await self._following.follow()
            held = await self._signal(name, signal, actor, reason, expect)
            if signal is Signal.START and held.state.phase is Phase.PREFLIGHT:
                held = await self._gated(held, actor)
            await self._following.follow()
        except Away as away:
            raise Denied("away", f"the store of the rollouts does not answer: {away}") from None
        self._watch.look()
        return held

    async def drill(self, rollout: Rollout, actor: str, reason: str) -> Held:
        """Begin a rollback drill with a rollout of the id DRILL: its first step at once, gates or not. It is ended as any
        other, and by itself after a minute.

        Raises: Denied, where one is under way or another rollout of the same name is.
        """
        try:
            await self._watch.awake()
            await self._following.follow()
            taken = [held.state.id for held in self._following.held.values() if begun(held) and _meets(held, rollout)]
            if taken:
                why = "a drill" if taken[0] == rollout.id else f"'{taken[0]}'"
                raise Denied("impossible", f"{why} is under way: end it first, or drill with another name")
            held = self._following.all.get(rollout.id)
            if held is not None and held.state.phase is Phase.ROLLED_BACK:
                held = await self._drilled(moved(held, Signal.RETRY, actor, reason, self._wall()), held)
            held = await self._drilled(
                changed(held, rollout, self._wall()) if held else opened(rollout, self._wall()), held
            )
            for signal in (Signal.START, Signal.READY):
                held = await self._drilled(moved(held, signal, actor, reason, self._wall()), held)
            await self._following.follow()
        except Away as away:
            raise Denied("away", f"the store of the rollouts does not answer: {away}") from None
        self._watch.look()
        return held

    async def turn(
        self, name: str, flag: dict[str, Any] | None, actor: str, reason: str, expect: int | None = None
    ) -> int:
        """Set a flag by hand, or with None remove it; returns the version of them all. Raises: Denied."""
        try:
            await self._watch.awake()
            for _ in range(TRIES):
                await self._following.follow()
                version = self._following.flags[1]
                if expect not in (None, version):
                    raise Denied("conflict", f"the flags are at version {version}, not {expect}")
                move = flagged(self._following.all.get(FLAGS), name, flag, actor, reason, self._wall())
                if move is None:
                    return version
                if await self._shelf.put(move):
                    await self._following.follow()
                    return move.held.version
        except Away as away:
            raise Denied("away", f"the store of the flags does not answer: {away}") from None
        raise Denied("conflict", "the flags keep being changed by others; try again")

    async def _drilled(self, move: Move | None, held: Held | None) -> Held:
        """Keep one move of a drill; what changes nothing is passed over. Raises: Denied."""
        if move is not None and not await self._shelf.put(move):
            raise Denied("conflict", "somebody else has begun a drill just now")
        kept = held if move is None else move.held
        assert kept is not None
        return kept

    async def _signal(self, name: str, signal: Signal, actor: str, reason: str, expect: int | None) -> Held:
        for _ in range(TRIES):
            held = self._following.held.get(name)
            if held is None:
                raise Denied("unknown", f"there is no rollout '{name}'")
            if expect is not None and held.version != expect:
                raise Denied("conflict", f"rollout '{name}' is at version {held.version}, not {expect}")
            move = moved(held, signal, actor, reason, self._wall())
            if move is None:
                if held.state.phase in _AGAIN[signal]:
                    return held
                raise Denied("impossible", f"rollout '{name}' is {held.state.phase}: it cannot {signal}")
            if await self._shelf.put(move):
                return move.held
            await self._following.follow()
        raise Denied("conflict", f"rollout '{name}' keeps being moved by others; try again")

    async def _gated(self, held: Held, actor: str) -> Held:
        """Try the gates that need no traffic. Raises: Denied."""
        why = await self.preflight(settled(held))
        signal = Signal.REFUSED if why else Signal.READY
        move = moved(held, signal, actor, why or "the gates are open", self._wall())
        if move is not None and await self._shelf.put(move):
            held = move.held
        if why:
            await self._following.follow()
            raise Denied("refused", why)
        return held


def _meets(held: Held, rollout: Rollout) -> bool:
    """Say whether a rollout under way keeps a drill from beginning: another drill, or, where everybody takes part, one of
    the same name."""
    everybody = rollout.scope == Scope()
    return held.state.id == rollout.id or (everybody and settled(held).target.alias == rollout.target.alias)
