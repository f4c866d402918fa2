"""Two simulated providers that say what each request tells them to, with faults, for benchmarks that check every answer.

    python benchmarks/telling_provider.py [--faults 1%]

The last words of a prompt, `say WORD COUNT`, order the answer `WORD.0 WORD.1 ...`, COUNT words of it, over whatever API
was asked. Says both ports on standard output. All else, the faults on the wire and how a request orders them, is what
`twospeed simulate` does; the two are called one and two.
"""

import argparse
import asyncio
import signal

import uvloop

from twospeed.edge.http import HttpServer
from twospeed.edge.simulator import Simulator
from twospeed.policy.listen import Listen
from twospeed.upstream.script import Origin, Script
from twospeed.upstream.script.answer import Answer, Pace, failure, instead, plain, streamed
from twospeed.upstream.script.directive import parse
from twospeed.upstream.script.performer import VOICES, Performer, Turn
from twospeed.upstream.script.settings import Simulation

SPEED = {"first_token": {"median": "20ms"}, "tokens_per_second": 400, "jitter": 0.1, "tokens_per_event": 4}
# Parts of all faults. A stall lasts until the proxy gives up, so it is rare.
FAULTS = {
    "reset": 2, "truncate": 2, "unfinished": 1, "malformed": 1, "bad_chunk": 1, "error_event": 1, "empty": 1, "html": 1,
    "http_500": 1, "http_503": 1, "http_529": 1, "wrong_type": 1, "stall": 0.5, "hang": 0.5,
}  # fmt: skip


def told(prompt: str) -> str:
    """Return the answer that a prompt orders.

    >>> told("some code, then: say ab 3")
    'ab.0 ab.1 ab.2'
    """
    word, count = prompt.rsplit(" ", 2)[1:]
    return " ".join(f"{word}.{number}" for number in range(int(count)))


def simulation(faults: float) -> Simulation:
    """Return the settings, with a share of all requests that fail."""
    whole = sum(FAULTS.values())
    rules = [{"kind": kind, "share": faults * part / whole} for kind, part in FAULTS.items()]
    return Simulation.model_validate({**SPEED, "faults": rules if faults else []})


class Teller(Performer):
    """A `Performer` whose answers are ordered by the prompt."""

    def answer(self, turn: Turn, path: str, orders: str, body: bytes) -> Answer:
        """Return the answer to a request, or the fault drawn for it."""
        origin = Origin(f"sim{turn.chance.getrandbits(64):016x}", 1_700_000_000)
        voice = next(voice for suffix, voice in VOICES if path.endswith(suffix))
        ask = voice.read(path, body)
        wishes = parse(orders, self.name)
        rule = wishes.fault or turn.rule
        if rule and (fault := instead(voice, origin, rule, ask.stream)):
            return fault
        try:
            words = told(ask.prompt)
        except ValueError:
            return failure(voice, origin, 400, "the prompt orders nothing")
        pieces = [word + " " for word in words.split(" ")]
        script = Script(text=[*pieces[:-1], pieces[-1].strip()], input_tokens=ask.input_bytes // 4)
        settings = self.simulation
        first = settings.first_token.draw(turn.chance)
        pace = Pace(first, 1 / (wishes.speed or settings.tokens_per_second), settings.jitter, turn.chance)
        if ask.stream:
            return streamed(voice, ask, script, origin, pace, settings.tokens_per_event, rule)
        return plain(voice, ask, script, origin, pace, rule)


async def main(faults: float) -> None:
    """Serve until told to stop."""
    servers = []
    for name in ("one", "two"):
        simulator = Simulator(name, simulation(faults))
        simulator._provider._performer = Teller(name, simulation(faults))
        servers.append(HttpServer(simulator, Listen(port=0, max_connections=100_000)))
        await servers[-1].start()
    print(*(server.address[1] for server in servers), flush=True)
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    await stopped.wait()
    for server in servers:
        await server.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", default="1%")
    uvloop.run(main(float(parser.parse_args().faults.rstrip("%")) / 100))
