"""What the leader does for all hosts: takes over the config file, judges what was seen, decides, and ends what is ended.

Every write carries the token of the lease; a leader that was overtaken finds its writes refused (Deposed) and stops.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping

import msgspec

from twospeed.policy.held import JUDGE, Held, Move, Progress, Shelf, Sighting, begun, changed, moved, opened
from twospeed.policy.judge.bench import Bench, Decision
from twospeed.policy.rollout import DRILL, STEP_PHASES, Phase, Rollout, Signal

KEEP_EVERY, KEEP_SELDOM = 2.0, 60.0  # seconds between two writes of the judge's memory, at least and at most
KEEP_SHARE = 50  # times as long as a write takes
SAY_EVERY = 0.5  # seconds between two writes of what it says
AT_ONCE = 500  # sightings judged in one go
STOPPED = 5.0  # seconds after which a host that has not said what it serves is taken for gone
LONGEST_DRILL = 60.0  # seconds after which a drill that nobody ended is ended
FIRST_ABORT = "removed from the config file"
log = logging.getLogger("twospeed.rollouts")
_plain = msgspec.msgpack.Encoder(enc_hook=lambda number: number.item())  # of numpy
_sighting = msgspec.msgpack.Decoder(Sighting)


class Leading:
    """Leads while it can.

    `token`: of the lease, 0 while another host has it. `behind`: there is more to judge than was judged.
    `configured`: the rollouts of the config file.
    """

    def __init__(self, shelf: Shelf, wall: Callable[[], float]) -> None:
        self.token = 0
        self.behind = False
        self.configured: Mapping[str, Rollout] = {}
        self._shelf = shelf
        self._wall = wall
        self._benches: dict[str, Bench] = {}
        self._place = ""  # up to which sightings have been taken
        self._keep_at = self._said_at = 0.0
        self._waiting: list[bytes] = []

    async def turn(self, known: Mapping[str, Held]) -> bool:
        """Do once what a leader does; True when anything was moved, which comes back with the next look.

        Raises: Deposed, Away.
        """
        token = await self._shelf.lead()
        before, self.token = self.token, token
        # The token after one's own is given to who let the lease end and took it again: nobody led meanwhile.
        if token not in (before, before + 1) or not before:
            self._benches.clear()
            self._waiting.clear()
            if token:
                await self._take_over(known)
        if not token:
            self.behind = False
            return False
        if await self._configure(known):
            return True
        await self._observe(known)
        decided = [await self._decide(name, held) for name, held in known.items()]
        if any(decided):
            return True  # before anything else: who serves is waiting for it
        self._benches = {name: bench for name, bench in self._benches.items() if _judged(known.get(name))}
        await self._keep()
        return False

    async def _take_over(self, known: Mapping[str, Held]) -> None:
        """Go on where the leader before had come to."""
        self._place = ""
        for name, held in known.items():
            memory = await self._shelf.kept(name)
            if not memory:
                continue
            plain = msgspec.msgpack.decode(memory)
            self._place = max(self._place, plain["place"])
            if plain["bench"]["round"] == held.round:
                self._benches[name] = Bench(held, plain["bench"])
        log.info("rollouts: this host leads")

    async def _configure(self, known: Mapping[str, Held]) -> bool:
        """Take over what the file says; True when that moved anything."""
        now = self._wall()
        moves = [self._named(rollout, known.get(name), now) for name, rollout in self.configured.items()]
        moves += [
            moved(held, Signal.ABORT, "config", FIRST_ABORT, now, token=self.token)
            for name, held in known.items()
            if name not in self.configured and begun(held) and held.state.phase is not Phase.ROLLING_BACK
            if name != DRILL or now - held.at > LONGEST_DRILL
        ]
        done = [await self._put(move) for move in moves if move is not None]
        return any(done)

    def _named(self, rollout: Rollout, held: Held | None, now: float) -> Move | None:
        return opened(rollout, now) if held is None else changed(held, rollout, now)

    async def _put(self, move: Move) -> bool:
        return await self._shelf.put(msgspec.structs.replace(move, token=self.token))

    async def _observe(self, known: Mapping[str, Held]) -> None:
        """Take what was seen, some at a time."""
        if not self._waiting:
            self._place, seen, lost = await self._shelf.collect(self._place)
            self._waiting = list(seen)
            for bench in self._benches.values():
                bench.lost += lost
        now, self._waiting = self._waiting[:AT_ONCE], self._waiting[AT_ONCE:]
        self.behind = bool(self._waiting)
        sorted_out: dict[str, list[Sighting]] = {}
        for data in now:
            sighting = _sighting.decode(data)
            sorted_out.setdefault(sighting.rollout, []).append(sighting)
        for name, sightings in sorted_out.items():
            if name in known:
                await asyncio.to_thread(self._bench(name, known[name]).observe, sightings)

    def _bench(self, name: str, held: Held) -> Bench:
        bench = self._benches.get(name)
        if bench is None or bench.round != held.round:
            before, bench = bench, Bench(held)
            if before is not None:
                bench.inherit(before)
            self._benches[name] = bench
        return bench

    async def _decide(self, name: str, held: Held) -> bool:
        phase, now = held.state.phase, self._wall()
        decision: Decision | None = None
        progress: Progress | None = None
        if phase is Phase.ROLLING_BACK:
            if await self._stopped(name, held, now):
                decision = Decision(Signal.DONE, "every host serves the stable version", None, {})
        elif _judged(held):
            bench = self._bench(name, held)
            decision, told = await asyncio.to_thread(bench.decide, held, now)
            progress = msgspec.structs.replace(told, round=held.round)
        done = decision is not None and await self._say(held, decision)
        if progress is not None and (done or now - self._said_at >= SAY_EVERY):
            await self._shelf.keep(name, b"", _plain.encode(progress), self.token)
        return done

    async def _say(self, held: Held, decision: Decision) -> bool:
        """Let a decision become a move."""
        now, evidence = self._wall(), decision.evidence
        move = moved(held, decision.signal, JUDGE, decision.reason, now, decision.at, evidence, self.token)
        return move is not None and await self._shelf.put(move)

    async def _stopped(self, name: str, held: Held, now: float) -> bool:
        served = await self._shelf.served()
        return all(one.get(name, 0) >= held.version for one in served) or now - held.at > STOPPED

    async def _keep(self) -> None:
        now = self._wall()
        if now - self._said_at >= SAY_EVERY:
            self._said_at = now
        if now < self._keep_at or self.behind:
            return
        for name, bench in self._benches.items():
            await self._shelf.keep(name, await asyncio.to_thread(_memory, self._place, bench), b"", self.token)
        # What is large is kept less often; who takes over finds what was seen since in the store.
        self._keep_at = now + min(max(KEEP_EVERY, (self._wall() - now) * KEEP_SHARE), KEEP_SELDOM)


def _judged(held: Held | None) -> bool:
    return held is not None and (held.state.phase in STEP_PHASES or held.state.phase is Phase.SHADOW)


def _memory(place: str, bench: Bench) -> bytes:
    return _plain.encode({"place": place, "bench": bench.to_plain()})
