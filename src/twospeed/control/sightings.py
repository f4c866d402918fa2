"""What one serving process has seen of its rollouts, until it is handed to whoever leads.

A sink: on a request's path a record is put aside, no more. `take` makes sightings of what is there, in the background. Of what
is too much the oldest is dropped and counted.
"""

from collections import Counter, deque

import msgspec

from twospeed.policy.held import Sighting
from twospeed.policy.sighting import sighted
from twospeed.types import Record

ROOM = 4_000  # records, and pairs, that may wait
_OUTCOMES = {True: "ok", False: "failed", None: "unknown"}
EACH = 1_000  # of them in one go


class Sightings:
    """Collects. `dropped`: what there was no room for, since the start. `counts`: by rollout, arm and outcome."""

    def __init__(self, room: int = ROOM) -> None:
        self.dropped = 0
        self.counts: Counter[tuple[str, str, str]] = Counter()
        self._room = room
        self._records: deque[Record] = deque()
        self._pairs: deque[Sighting] = deque(maxlen=room)
        self._told = 0  # of those dropped

    def __call__(self, record: Record) -> None:
        """Put a finished record aside when a rollout is to hear of it."""
        if not record.arm:
            return
        if len(self._records) >= self._room:
            self._records.popleft()
            self.dropped += 1
        self._records.append(record)

    def paired(self, rollout: str, attempt: int, step: int, pair: bytes) -> None:
        """Put a pair of answers aside, as msgpack."""
        self._pairs.append(Sighting(rollout, attempt, step, pair=pair))

    def take(self) -> list[bytes]:
        """Return what is there, some at a time; [] for nothing."""
        found: list[bytes] = []
        for _ in range(min(EACH, len(self._records))):
            sighting = sighted(self._records.popleft(), self.dropped - self._told)
            if sighting is not None and sighting.seen is not None:
                self.counts[sighting.rollout, sighting.seen.arm, _OUTCOMES[sighting.seen.ok]] += 1
                self._told += sighting.lost
                found.append(msgspec.msgpack.encode(sighting))
        while self._pairs and len(found) < EACH:
            found.append(msgspec.msgpack.encode(self._pairs.popleft()))
        return found
