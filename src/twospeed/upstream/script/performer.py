"""One simulated provider: numbers its requests, draws what goes wrong, and has the answer written and timed."""

import time
from collections.abc import Callable
from random import Random
from typing import NamedTuple
from zlib import crc32

import msgspec

from twospeed.upstream.script import Ask, Origin, Voice
from twospeed.upstream.script.answer import Answer, Pace, document, failure, instead, plain, streamed
from twospeed.upstream.script.chat import ChatVoice
from twospeed.upstream.script.completions import CompletionVoice
from twospeed.upstream.script.directive import Directives, parse
from twospeed.upstream.script.embeddings import EmbeddingVoice
from twospeed.upstream.script.messages import CountVoice, MessagesVoice
from twospeed.upstream.script.responses import ResponsesVoice
from twospeed.upstream.script.settings import FaultRule, Simulation
from twospeed.upstream.script.writer import write

VOICES: tuple[tuple[str, Voice], ...] = (
    ("/chat/completions", ChatVoice()),
    ("/completions", CompletionVoice()),
    ("/responses", ResponsesVoice()),
    ("/messages", MessagesVoice()),
    ("/messages/count_tokens", CountVoice()),
    ("/embeddings", EmbeddingVoice()),
)
MODELS = "/models"


class Turn(NamedTuple):
    """One request before it is read: its number, first is 1, its own source of chance, and the fault drawn for it."""

    number: int
    chance: Random
    rule: FaultRule | None


class Performer:
    """Answers requests in order; the number of a request decides, together with name and seed, what it gets.

    Args:
        name: The provider's name, as orders in the request header address it.
        simulation: How to answer.
        wall: Clock for `created`, seconds since the epoch.
    """

    def __init__(self, name: str, simulation: Simulation, wall: Callable[[], float] = time.time) -> None:
        self.name = name
        self.simulation = simulation
        self.requests = 0
        self._wall = wall
        self._seed = (crc32(name.encode()) << 64) | (simulation.seed << 32)

    def turn(self) -> Turn:
        """Number the next request and draw its fault."""
        self.requests += 1
        chance = Random(self._seed + self.requests)
        return Turn(self.requests, chance, self._drawn(chance.random()))

    def _drawn(self, roll: float) -> FaultRule | None:
        for rule in self.simulation.faults:
            roll -= rule.share
            if roll < 0:
                return rule
        return None

    def answer(self, turn: Turn, path: str, orders: str, body: bytes) -> Answer:
        """Return the answer to a request.

        Args:
            path: With or without a prefix such as /v1 and a query.
            orders: Value of the header x-twospeed-simulate, "" for none.
        """
        path = path.partition("?")[0]
        origin = Origin(f"sim{turn.chance.getrandbits(64):016x}", int(self._wall()))
        voice = next((voice for suffix, voice in VOICES if path.endswith(suffix)), None)
        if voice is None:
            return self._elsewhere(path, origin)
        try:
            wishes = parse(orders, self.name) if orders else Directives()
        except ValueError as error:
            return failure(voice, origin, 400, str(error))
        return self._voiced(voice, path, body, wishes, turn, origin)

    def _voiced(self, voice: Voice, path: str, body: bytes, wishes: Directives, turn: Turn, origin: Origin) -> Answer:
        rule = wishes.fault or turn.rule
        try:
            ask = voice.read(path, body)
            other = instead(voice, origin, rule, ask.stream) if rule else None
            return other or self._spoken(voice, ask, wishes, rule, turn.chance, origin)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            other = instead(voice, origin, rule, stream=False) if rule else None
            return other or failure(voice, origin, 400, str(error))

    def _spoken(
        self, voice: Voice, ask: Ask, wishes: Directives, rule: FaultRule | None, chance: Random, origin: Origin
    ) -> Answer:
        pace = self._pace(wishes, rule, chance)
        drawn = self.simulation.output_tokens.draw(chance)
        tokens = drawn if wishes.tokens is None else wishes.tokens
        script = write(ask, chance, tokens, wishes.reasoning, self.simulation.tools == "auto")
        if ask.stream:
            return streamed(voice, ask, script, origin, pace, self.simulation.tokens_per_event, rule)
        return plain(voice, ask, script, origin, pace, rule)

    def _pace(self, wishes: Directives, rule: FaultRule | None, chance: Random) -> Pace:
        drawn = self.simulation.first_token.draw(chance)
        first = drawn if wishes.first_token is None else wishes.first_token
        late = rule.delay if rule else 0.0
        speed = wishes.speed or self.simulation.tokens_per_second
        return Pace(first + late, 1.0 / speed, self.simulation.jitter, chance)

    def _elsewhere(self, path: str, origin: Origin) -> Answer:
        if path.endswith(MODELS):
            row = {"id": self.name, "object": "model", "created": origin.created, "owned_by": "twospeed"}
            return document(msgspec.json.encode({"object": "list", "data": [row]}), origin)
        return failure(VOICES[0][1], origin, 404, "this simulated provider has no such path")
