"""Rollouts of one host: follows them, moves them when people say so, and leads them while it holds the lease.

    shelf -> moves -> publish (who serves), audit, subscribers          every host
    sightings -> shelf -> benches -> decisions -> moves -> shelf        the leader

One per host: in the serving process, or in the supervisor of several. When the shelf does not answer, everything stays as
it is and nothing is decided.

Tasks: `run`, owned by whoever made it, and in it each look by itself; judging is done in a thread that it awaits.
"""

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from twospeed.control.feed import Feed
from twospeed.control.leading import Leading
from twospeed.policy.audit import Audit, Entry
from twospeed.policy.held import (
    Away,
    Denied,
    Deposed,
    Held,
    Missed,
    Move,
    Progress,
    Shelf,
    begun,
    changed,
    current,
    flagged,
    moved,
    opened,
    settled,
)
from twospeed.policy.rollout import FLAGS, Phase, Rollout, Scope, Signal

AT_ONCE, ROOM = 1_000, 20_000  # sightings sent in one go, and kept while the shelf does not answer
SAY_EVERY = 2.0  # seconds between two signs that this host still serves by what it said
TICK = 0.25  # seconds between two looks when nothing wakes
AWAKE_WITHIN = 5.0  # seconds for the shelf to be read when a drill is the first to need it
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
log = logging.getLogger("twospeed.rollouts")

Publish = Callable[[Mapping[str, Held]], Awaitable[None]]


async def _no_drill(rollout: Rollout) -> str:
    return "no rollback drill is known" if any(gate.drill_age for gate in rollout.gates) else ""


class Rollouts:
    """The rollouts of one host.

    `held`: those of the config file and those under way, by id. `leading`: this host decides.
    `preflight`: says why the gates other than the shadow are closed, "" when they are open; may be replaced.

    Args:
        shelf: Where they are kept.
        audit: Told of every move, by every host.
        publish: Awaited with all that are live whenever one moved; back when every worker serves by it.
        wall: Seconds since the epoch.
    """

    def __init__(
        self,
        shelf: Shelf,
        audit: Audit,
        publish: Publish,
        wall: Callable[[], float],
    ) -> None:
        self.preflight: Callable[[Rollout], Awaitable[str]] = _no_drill
        self._shelf = shelf
        self._audit = audit
        self._publish = publish
        self._wall = wall
        self._feed = Feed()
        self._leading = Leading(shelf, wall)
        self._configured: Mapping[str, Rollout] = {}
        self._all: dict[str, Held] = {}
        self._progress: dict[str, Progress] = {}
        self._sightings: list[bytes] = []
        self._news = asyncio.Event()
        self._started = self._reading = False  # the shelf has been opened, has been read
        self._wanted = False  # though the config file names no rollout
        self._away = self._bug = ""
        self._serving: Mapping[str, int] = {}
        self._said_at = 0.0

    @property
    def held(self) -> Mapping[str, Held]:
        """Every rollout of the config file, in its order, then those that are under way without being named there."""
        named = {name: self._all[name] for name in self._configured if name in self._all}
        return named | {name: held for name, held in self._all.items() if name not in named and begun(held)}

    @property
    def leading(self) -> bool:
        """Say whether this host decides."""
        return self._leading.token > 0 and not self._away

    @property
    def away(self) -> str:
        """Say why the shelf does not answer, "" while it does."""
        return self._away

    def progress(self, name: str) -> Progress | None:
        """Return what the judge says of a rollout, here or on the host that leads; None when it has said nothing yet."""
        said, held = self._progress.get(name), self._all.get(name)
        return said if said is not None and held is not None and current(said, held) else None

    @contextmanager
    def subscribe(self) -> Iterator["asyncio.Queue[Move | None]"]:
        """Hear of every move from now on, in order; None is the end: who listens too slowly is cut off."""
        with self._feed.subscribe() as queue:
            yield queue

    def configure(self, rollouts: Sequence[Rollout]) -> None:
        """Take over what the config file says, at the start and after a reload."""
        self._configured = {rollout.id: rollout for rollout in rollouts}
        self._leading.configured = self._configured
        for rollout in rollouts:
            held = self._all.get(rollout.id)
            if held is not None and begun(held) and settled(held).target != rollout.target:
                log.warning("rollout %s is under way: its target stays as it was until it has ended", rollout.id)
        self._news.set()

    def report(self, sightings: Sequence[bytes]) -> None:
        """Take what a serving process saw; sent with the next look."""
        self._sightings.extend(sightings)
        del self._sightings[:-ROOM]  # of what cannot be sent the oldest is given up

    async def act(self, name: str, signal: Signal, actor: str, reason: str, expect: int | None = None) -> Held:
        """Give a signal.

        Args:
            expect: The version that it is meant for; None for whichever there is.

        Raises: Denied.
        """
        if signal not in PEOPLES:
            raise Denied("impossible", f"'{signal}' is not given by people")
        try:
            await self.start()
            await self._follow()
            held = await self._signal(name, signal, actor, reason, expect)
            if signal is Signal.START and held.state.phase is Phase.PREFLIGHT:
                held = await self._gated(held, actor)
            await self._follow()
        except Away as away:
            raise Denied("away", f"the store of the rollouts does not answer: {away}") from None
        self._news.set()
        return held

    async def start(self) -> None:
        """Learn how they stand, before anything is served; comes back whether the shelf answers or not."""
        self._wanted = self._wanted or self._shelf.used
        if (self._configured or self._wanted) and not self._started:
            self._started = True
            await self._shelf.start(self._news.set)
            await self._turn()

    async def drill(self, rollout: Rollout, actor: str, reason: str) -> Held:
        """Begin a rollback drill with a rollout of the id DRILL: its first step at once, gates or not. It is ended as any
        other, and by itself after a minute.

        Raises: Denied, where one is under way or another rollout of the same name is.
        """
        try:
            await self._awake()
            await self._follow()
            taken = [held.state.id for held in self.held.values() if begun(held) and _meets(held, rollout)]
            if taken:
                why = "a drill" if taken[0] == rollout.id else f"'{taken[0]}'"
                raise Denied("impossible", f"{why} is under way: end it first, or drill with another name")
            held = self._all.get(rollout.id)
            if held is not None and held.state.phase is Phase.ROLLED_BACK:
                held = await self._drilled(moved(held, Signal.RETRY, actor, reason, self._wall()), held)
            held = await self._drilled(
                changed(held, rollout, self._wall()) if held else opened(rollout, self._wall()), held
            )
            for signal in (Signal.START, Signal.READY):
                held = await self._drilled(moved(held, signal, actor, reason, self._wall()), held)
            await self._follow()
        except Away as away:
            raise Denied("away", f"the store of the rollouts does not answer: {away}") from None
        self._news.set()
        return held

    @property
    def flags(self) -> tuple[Mapping[str, Any], int]:
        """Return the flags set by hand as plain data, by id, and their version, 0 when none ever was."""
        held = self._all.get(FLAGS)
        return (held.settings, held.version) if held else ({}, 0)

    async def turn(
        self, name: str, flag: dict[str, Any] | None, actor: str, reason: str, expect: int | None = None
    ) -> int:
        """Set a flag by hand, or with None remove it; returns the version of them all. Raises: Denied."""
        try:
            await self._awake()
            for _ in range(TRIES):
                await self._follow()
                version = self.flags[1]
                if expect not in (None, version):
                    raise Denied("conflict", f"the flags are at version {version}, not {expect}")
                move = flagged(self._all.get(FLAGS), name, flag, actor, reason, self._wall())
                if move is None:
                    return version
                if await self._shelf.put(move):
                    await self._follow()
                    return move.held.version
        except Away as away:
            raise Denied("away", f"the store of the flags does not answer: {away}") from None
        raise Denied("conflict", "the flags keep being changed by others; try again")

    def wake(self) -> None:
        """Follow the store although the config file names no rollout."""
        self._wanted = True
        self._news.set()

    async def _awake(self) -> None:
        """Without rollouts in the config file nothing runs until the first drill."""
        self.wake()
        try:
            async with asyncio.timeout(AWAKE_WITHIN):
                while not self._reading:  # noqa: ASYNC110 - once in the life of a server
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise Away("it has not been read yet") from None

    async def _drilled(self, move: Move | None, held: Held | None) -> Held:
        """Keep one move of a drill; what changes nothing is passed over. Raises: Denied."""
        if move is not None and not await self._shelf.put(move):
            raise Denied("conflict", "somebody else has begun a drill just now")
        kept = held if move is None else move.held
        assert kept is not None
        return kept

    async def run(self) -> None:
        """Follow and lead until cancelled."""
        while not (self._configured or self._wanted):
            self._news.clear()
            await self._news.wait()
        await self.start()
        try:
            while True:
                await self._watched()
                await self._pause()
        finally:
            await self._shelf.close()

    async def _watched(self) -> None:
        """Look once; a bug ends that look, not the watch over all rollouts."""
        turn = asyncio.create_task(self._turn())
        try:
            await asyncio.wait([turn])
        finally:
            turn.cancel()
            await asyncio.wait([turn])
        bug = turn.exception()
        if bug is not None and repr(bug) != self._bug:
            self._bug = repr(bug)
            where = "".join(traceback.format_tb(bug.__traceback__))
            log.error("bug: %s while looking after rollouts\n%s", self._bug, where)

    async def _turn(self) -> None:
        """Look once."""
        try:
            await self._send()
            await self._follow()
            if await self._lead():
                await self._follow()
            if self._wall() - self._said_at > SAY_EVERY:
                await self._say()
        except Away as away:
            if not self._away:
                log.warning("rollouts stay as they are: the store does not answer (%s)", away)
            self._away = str(away)
        else:
            if self._away:
                log.warning("rollouts go on: the store answers")
            self._away = ""

    async def _pause(self) -> None:
        if self._leading.behind:
            await asyncio.sleep(0)
            return
        try:
            async with asyncio.timeout(TICK):
                await self._news.wait()
        except TimeoutError:
            return
        finally:
            self._news.clear()

    async def _send(self) -> None:
        while self._sightings:
            some = self._sightings[:AT_ONCE]
            await self._shelf.report(some)
            del self._sightings[: len(some)]

    async def _follow(self) -> None:
        """Take over what has moved, wherever it was moved."""
        if not self._reading:
            self._all = dict(await self._shelf.read())
            self._reading = True
            await self._serve()
        try:
            moves = await self._shelf.follow()
        except Missed:
            log.warning("rollouts: more has moved than is kept; all are read anew")
            self._reading = False
            return await self._follow()
        fresh = [move for move in moves if move.held.version > self._version(move.rollout)]
        for move in fresh:
            self._all[move.rollout] = move.held
        if fresh:
            await self._serve()
        for move in moves:
            self._audit.enter(entry(move), move.evidence or None)  # also those of before: known ones count once
        for move in fresh:
            self._tell(move)
        return None

    def _version(self, name: str) -> int:
        return self._all[name].version if name in self._all else 0

    async def _serve(self) -> None:
        """Let everybody here serve by it, and say so."""
        live = {name: held for name, held in self.held.items() if held.live}
        if FLAGS in self._all:
            live[FLAGS] = self._all[FLAGS]
        await self._publish(live)
        self._serving = {name: held.version for name, held in live.items()}
        await self._say()

    async def _say(self) -> None:
        """Say what is served by here."""
        self._said_at = self._wall()
        await self._shelf.serve(self._serving)

    def _tell(self, move: Move) -> None:
        held = move.held
        if move.rollout == FLAGS:
            log.warning("flag %s: %s (%s: %s)", move.evidence.get("flag"), move.signal, move.actor, move.reason)
            return
        state = held.state
        log.warning(
            "rollout %s: %s -> %s at %.4g%% (%s: %s)",
            *(move.rollout, move.before, state.phase, state.share * 100, move.actor, move.reason),
        )
        self._feed.tell(move)

    async def _lead(self) -> bool:
        """Decide, while nobody else does; True when anything was moved."""
        try:
            if await self._leading.turn(self.held):
                return True
        except Deposed:
            self._leading.token = 0
            log.warning("rollouts: another host leads now")
        said = await self._shelf.progress()
        self._progress = {name: msgspec.msgpack.decode(plain, type=Progress) for name, plain in said.items()}
        return False

    async def _signal(self, name: str, signal: Signal, actor: str, reason: str, expect: int | None) -> Held:
        for _ in range(TRIES):
            held = self.held.get(name)
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
            await self._follow()
        raise Denied("conflict", f"rollout '{name}' keeps being moved by others; try again")

    async def _gated(self, held: Held, actor: str) -> Held:
        """Try the gates that need no traffic. Raises: Denied."""
        why = await self.preflight(settled(held))
        signal = Signal.REFUSED if why else Signal.READY
        move = moved(held, signal, actor, why or "the gates are open", self._wall())
        if move is not None and await self._shelf.put(move):
            held = move.held
        if why:
            await self._follow()
            raise Denied("refused", why)
        return held


def _meets(held: Held, rollout: Rollout) -> bool:
    """Say whether a rollout under way keeps a drill from beginning: another drill, or, where everybody takes part, one of
    the same name."""
    everybody = rollout.scope == Scope()
    return held.state.id == rollout.id or (everybody and settled(held).target.alias == rollout.target.alias)


def _text(flag: dict[str, Any] | None) -> str:
    return msgspec.json.encode(flag).decode() if flag else ""


def entry(move: Move) -> Entry:
    """Write a move as a line of the ledger, the same on every host."""
    held = move.held
    state = held.state
    if move.rollout == FLAGS:
        before, after = (_text(move.evidence[name]) for name in ("before", "after"))
        key = f"{FLAGS}:{held.version}:{move.at:.6f}"
        said = (move.at, "flag", move.evidence["flag"], move.signal, before, after)
        return Entry(*said, actor=move.actor, reason=move.reason, key=key)
    return Entry(
        at=move.at,
        kind="rollout",
        subject=move.rollout,
        event=move.signal,
        before=move.before.value,
        after=state.phase.value,
        step=state.step,
        share=state.share,
        attempt=state.attempt,
        actor=move.actor,
        reason=move.reason,
        key=f"{move.rollout}:{held.version}:{move.at:.6f}",  # versions begin anew when the store was emptied
    )
