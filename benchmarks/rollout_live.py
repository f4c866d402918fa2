"""Rollouts on two replicas over HTTP: are shares what the steps say, and how soon is a bad version gone, everywhere.

    python benchmarks/rollout_live.py shares|rollback|killed|overload|language|incident|skew [--rate 80] [--rounds 5] [--workers 1]

Two replicas in processes of their own on one Redis, a provider that streams over HTTP and writes down what reaches it, and
clients that ask for new sessions at random times (Poisson), half of them for streams. Instants are those of one machine.

    shares    5, 25, 50% in turn, each for as long as it bakes: sessions that met the candidate, against the step's share in
              standard errors; sessions asked again, on the other replica and later: how many met another version
    rollback  the candidate begins to refuse half of its requests (400, for which no breaker opens): from
              the decision (as the ledger has it) to the last request that reached the candidate, for each replica; answers
              that were cut, broken or not 200
    killed    the same, and the replica that leads is killed (SIGKILL) the moment Redis tells of the decision
    overload  the candidate fails when it gets more than 15% of all requests: fine at 5%, stopped at 25%
    language  the candidate fails in Go only: the reason names it
    incident  both versions fail half of their requests for a while: the rollout holds, and goes on
    skew      twice as many sessions meet the candidate as the share says: no verdict, but a sample ratio mismatch
"""

import argparse
import asyncio
import json
import math
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import aiohttp
import redis.asyncio
import uvloop

from twospeed.dialects import Refusal
from twospeed.edge.http import Call, Head, HttpServer, Reply
from twospeed.errors import Fault
from twospeed.policy.listen import Listen
from twospeed.policy.rollout import share_bucket
from twospeed.policy.session import identify

REPLICAS = ("a", "b")
SSE, JSON = ((b"content-type", b"text/event-stream"),), ((b"content-type", b"application/json"),)
EVENTS, GAP = 20, 0.04  # of a stream; seconds
KEY = {"x-admin-key": "k"}
SCENARIOS = ("overload", "language", "incident", "skew")
CONFIG = """
listen: {{port: 0}}
admin: {{port: 0, key: env:ADMIN}}
stores: {{redis: {{url: "redis://127.0.0.1:{redis}/0", timeout: 1s}}}}
providers:
  old: &way {{kind: openai, base_url: "http://127.0.0.1:{provider}/{name}/v1", models: {{old: {{}}}}, proxy: none}}
  new: {{<<: *way, models: {{new: {{}}}}}}
models: {{coder: old/old}}
tiers: {{fast: {{models: [old/old]}}, deep: {{models: [old/old]}}}}
rollouts:
  - id: r
    target: {{alias: coder, stable: old/old, candidate: new/new}}
    steps: [{steps}]
    bake: {{min: {bake}, max: 1h, min_sessions: 20}}
    guard: [{{metric: error_rate, slack: 5pp{by}}}]
"""


class Load(NamedTuple):
    """Requests a second, both replicas together; workers of each replica."""

    rate: float
    workers: int


class Arrival(NamedTuple):
    """A request that reached the provider."""

    at: float
    replica: str
    model: str


class Answer(NamedTuple):
    """What a client got. `whole`: status 200, and a stream to its end."""

    at: float
    session: str
    replica: str
    arm: str
    whole: bool


class Provider:
    """The `App` of both versions. `failing`: chance that a request fails, by its version and its text."""

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []
        self.failing: Callable[[str, str], float] = lambda model, text: 0.0
        self.status = 400  # of a failure; for this one no breaker opens

    def lately(self, model: str) -> int:
        """Requests that reached a version in the last second."""
        recent = self.arrivals[-500:]
        return sum(one.model == model and one.at > time.time() - 1.0 for one in recent)

    def admit(self, head: Head) -> Refusal | None:
        """Let every request pass."""
        return None

    def refuse(self, head: Head | None, fault: Fault) -> Refusal:
        """Say a fault of the engine."""
        return Refusal(fault.meaning.status, JSON, b"{}")

    async def serve(self, call: Call, reply: Reply) -> None:
        """Answer, or fail."""
        asked = json.loads(call.body)
        self.arrivals.append(Arrival(time.time(), call.head.path.split("/")[1], asked["model"]))
        await asyncio.sleep(random.uniform(0.02, 0.06))
        if random.random() < self.failing(asked["model"], asked["messages"][0]["content"]):
            reply.send(self.status, JSON, b'{"error":{"message":"broken"}}')
            return
        text = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}]}
        if not asked.get("stream"):
            reply.send(200, JSON, json.dumps(text).encode())
            return
        reply.start(200, SSE)
        for number in range(EVENTS):
            finish = "stop" if number == EVENTS - 1 else None
            event = {"choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": finish}]}
            await reply.write(b"data: " + json.dumps(event).encode() + b"\n\n")
            await asyncio.sleep(GAP)
        reply.finish(b"data: [DONE]\n\n")


class Replica(NamedTuple):
    """A running replica."""

    name: str
    process: asyncio.subprocess.Process
    url: str
    admin: str

    async def rollout(self, http: aiohttp.ClientSession, path: str = "/r") -> dict:
        """Ask its admin listener."""
        async with http.get(f"{self.admin}/admin/rollouts{path}", headers=KEY) as answer:
            return await answer.json()


class Bench:
    """One run: a provider, Redis, two replicas, and clients until it is closed."""

    def __init__(self, rate: float, workers: int) -> None:
        self.provider, self.answers, self.rate, self.workers = Provider(), [], rate, workers
        self.asking: set[asyncio.Task[None]] = set()
        self.replicas: list[Replica] = []
        self.named: Callable[[int], str] = lambda number: f"s{number}"  # names sessions

    async def ask(self, session: str, replica: Replica) -> None:
        """Ask once and keep what came of it."""
        stream, at = random.random() < 0.5, time.time()
        text = "mend main.go" if hash(session) % 3 == 0 else "mend main.py"
        body = {"model": "coder", "stream": stream, "messages": [{"role": "user", "content": text}]}
        arm, whole = "", False
        try:
            url, headers = f"{replica.url}/chat/completions", {"x-session-id": session}
            async with self.http.post(url, json=body, headers=headers) as answer:
                text = await answer.read()
                arm = answer.headers.get("x-twospeed-arm", "")
                whole = answer.status == 200 and (not stream or text.endswith(b"data: [DONE]\n\n"))
        except (aiohttp.ClientError, OSError):
            whole = False
        self.answers.append(Answer(at, session, replica.name, arm, whole))

    async def clients(self) -> None:
        """Ask on and on; one request in five is for a session of before, at the other replica."""
        number = 0
        while True:
            await asyncio.sleep(random.expovariate(self.rate))
            number += 1
            session, replica = self.named(number), self.replicas[number % 2]
            if number % 5 == 0 and number > 500:
                session = f"s{random.randrange(number - 500, number - 100)}"
            task = asyncio.create_task(self.ask(session, replica))
            self.asking.add(task)
            task.add_done_callback(self.asking.discard)

    async def until(self, *phases: str, step: int | None = None) -> dict:
        """Wait for a phase, as the last replica that lives sees it."""
        while True:
            held = await self.replicas[-1].rollout(self.http)
            if held["phase"] in phases and (step is None or held["step"] == step):
                return held
            await asyncio.sleep(0.1)

    async def moves(self) -> list[dict]:
        """The ledger's lines of a replica that lives."""
        return (await self.replicas[-1].rollout(self.http, "/r/history"))["events"]

    async def start(self) -> None:
        """Let the rollout begin."""
        await self.until("draft")
        url = f"{self.replicas[0].admin}/admin/rollouts/r/start"
        async with self.http.post(url, headers=KEY, json={"reason": "bench"}) as answer:
            assert answer.status == 200, await answer.text()

    async def leader(self) -> Replica:
        """The replica that decides."""
        while True:
            for replica in self.replicas:
                if (await replica.rollout(self.http, ""))["leading"]:
                    return replica
            await asyncio.sleep(0.1)


@asynccontextmanager
async def bench(load: Load, steps: str, bake: str, by: str = ""):
    """Start everything, and stop it."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        run = Bench(*load)
        provider = HttpServer(run.provider, Listen(host="127.0.0.1", port=0))
        await provider.start()
        stack.push_async_callback(provider.close)
        port = random.randrange(20_000, 30_000)
        words = ("redis-server", "--port", str(port), "--save", "", "--dir", str(folder))
        store = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.DEVNULL)
        stack.callback(store.kill)
        run.redis = redis.asyncio.Redis(port=port)
        stack.push_async_callback(run.redis.aclose)
        run.http = await stack.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(30))
        )
        await asyncio.sleep(0.5)
        for name in REPLICAS:
            settings = {
                "redis": port,
                "provider": provider.address[1],
                "name": name,
                "steps": steps,
                "bake": bake,
                "by": by,
            }
            replica = await served(name, folder, CONFIG.format(**settings), run.workers)
            stack.callback(stopped, replica.process)
            run.replicas.append(replica)
        asking = asyncio.create_task(run.clients())
        try:
            yield run
        finally:
            asking.cancel()
            await asyncio.gather(asking, *run.asking, return_exceptions=True)


async def served(name: str, folder: Path, text: str, workers: int) -> Replica:
    """Start one replica."""
    file = folder / f"{name}.yaml"
    file.write_text(text)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "twospeed", "serve", "--config", str(file), "--log", "off", "--workers", str(workers)),
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "ADMIN": "k", "TWOSPEED_STATE_DIR": str(folder / name), "PYTHONUNBUFFERED": "1"},
    )
    assert process.stderr is not None
    url = admin = ""
    while not (url and admin):
        line = (await process.stderr.readline()).decode()
        assert line, f"{name} did not start"
        if "twospeed serves" in line:
            url = line.split()[2]
        if "admin:" in line:
            admin = line.split()[1].removesuffix("/metrics")
    process.reading = asyncio.create_task(process.stderr.read())  # type: ignore[attr-defined]  # so that it never waits
    return Replica(name, process, url, admin)


def stopped(process: asyncio.subprocess.Process) -> None:
    """End a replica."""
    if process.returncode is None:
        process.kill()


async def shares(load: Load) -> None:
    """Each step's share, in standard errors, and sessions that changed sides."""
    async with bench(load, "5%, 25%, 50%, 100%", "20s") as run:
        await run.start()
        await run.until("baking", step=3)
        began = [(move["at"], move["share"]) for move in await run.moves() if move["after"] == "baking"]
        answers = [answer for answer in run.answers if answer.arm]
        for (since, share), (until, _) in pairwise(began):
            first: dict[str, str] = {}
            for answer in answers:
                if since + 1.0 < answer.at < until - 0.5:
                    first.setdefault(answer.session, answer.arm)
            met = sum(arm == "candidate" for arm in first.values())
            deviation = (met - len(first) * share) / math.sqrt(max(1, len(first)) * share * (1 - share))
            print(
                f"step {share:4.0%}: {met} of {len(first)} sessions, {met / len(first):.2%}, {deviation:+.2f} standard errors"
            )
        print(f"sessions asked twice or more: {twice(answers)}; back from the candidate: {back(answers)}")
        print(f"answers that were not whole: {sum(not answer.whole for answer in run.answers)} of {len(run.answers)}")


def twice(answers: list[Answer]) -> int:
    return sum(count > 1 for count in Counter(answer.session for answer in answers).values())


def back(answers: list[Answer]) -> int:
    """Sessions that met the stable version after the candidate."""
    met, gone = set(), set()
    for answer in sorted(answers):
        if answer.arm == "candidate":
            met.add(answer.session)
        elif answer.session in met:
            gone.add(answer.session)
    return len(gone)


async def rollback(load: Load, kill: bool) -> tuple[float, int]:
    """One rollback; returns the longest time to the last candidate request, and answers that were not whole."""
    async with bench(load, "50%, 100%", "1m") as run:
        await run.start()
        await run.until("baking")
        leader = await run.leader()
        if leader is run.replicas[-1]:
            run.replicas.reverse()  # the last one is asked, and lives
        await asyncio.sleep(4.0)
        whole_before = sum(not answer.whole for answer in run.answers)
        async with run.redis.pubsub() as heard:
            await heard.subscribe("twospeed:{rollouts}:told")
            run.provider.failing, injected = half_of_new, time.time()
            while (await heard.get_message(ignore_subscribe_messages=True, timeout=60.0)) is None:
                continue
            if kill:
                leader.process.send_signal(signal.SIGKILL)
                killed = time.time()
        await run.until("rolled_back")
        await asyncio.sleep(3.0)
        decided = next(move["at"] for move in await run.moves() if move["event"] == "fail")
        late = {
            name: max((a.at for a in run.provider.arrivals if (a.replica, a.model) == (name, "new")), default=0.0)
            - decided
            for name in REPLICAS
        }
        lives = [
            answer for answer in run.answers if not kill or answer.replica != leader.name or answer.at < killed - 3.0
        ]
        cut = sum(not answer.whole for answer in lives) - whole_before
        beyond = sum(a.model == "new" and a.at > decided + 1.0 for a in run.provider.arrivals)
        said = ", ".join(f"{name} {seconds * 1000:+.0f} ms" for name, seconds in late.items())
        tail = f", leader {leader.name} killed {(killed - decided) * 1000:.0f} ms after it" if kill else ""
        print(
            f"decided {decided - injected:.1f} s after the first failure{tail}; last candidate request: {said}; "
            f"later than 1 s: {beyond}; answers cut or failed: {cut} of {len(lives)}",
            flush=True,
        )
        return max(late.values()), cut


def half_of_new(model: str, text: str) -> float:
    return 0.5 if model == "new" else 0.0


def doubled(number: int) -> str:
    """Name a session; twice as many as should lie below a share of 25%."""
    wanted = random.random() < 0.5
    while True:
        name = f"s{number}-{random.getrandbits(32)}"
        key = identify("anonymous", {b"x-session-id": name.encode()}, None, ()).key
        if (share_bucket("r", key) < 0.25) is wanted:
            return name


async def scenario(load: Load, what: str) -> None:
    """One kind of trouble; prints every move with its reason until the rollout has ended, or has come through."""
    steps = {"overload": "5%, 25%, 50%, 100%", "language": "30%, 100%", "incident": "30%, 100%", "skew": "25%, 100%"}[
        what
    ]
    by = ", by: language" if what == "language" else ""
    async with bench(load, steps, "20s" if what == "overload" else "5m", by) as run:
        provider = run.provider
        if what == "overload":
            provider.failing = lambda model, text: 0.6 * (model == "new" and provider.lately("new") > load.rate * 0.15)
        if what == "language":
            provider.failing = lambda model, text: 0.6 * (model == "new" and "main.go" in text)
        if what == "skew":
            run.named = doubled
        await run.start()
        if what == "incident":
            await asyncio.sleep(110.0)  # until it is known what is usual
            provider.failing, provider.status = (lambda model, text: 0.5), 500
            await run.until("hold", "rolled_back")
            provider.failing = lambda model, text: 0.0
        ends = ("rolled_back", "paused") if what != "incident" else ("baking",)
        await run.until(*ends)
        for move in await run.moves():
            print(f"{move['event']:10} {move['after']:12} {move['share']:4.0%}  {move['reason']}")
        print(f"answers cut or failed: {sum(not answer.whole for answer in run.answers)} of {len(run.answers)}")


async def rounds(load: Load, count: int, kill: bool) -> None:
    """Several rollbacks, each on fresh servers."""
    found = [await rollback(load, kill) for _ in range(count)]
    worst, cut = max(late for late, _ in found), sum(cut for _, cut in found)
    print(
        f"{count} rollbacks: last candidate request at most {worst * 1000:+.0f} ms after the decision; {cut} answers cut"
    )


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("shares", "rollback", "killed", *SCENARIOS))
    parser.add_argument("--rate", type=float, default=80.0, help="requests a second, both replicas together")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=1, help="of each replica")
    options = parser.parse_args()
    load = Load(options.rate, options.workers)
    if options.what == "shares":
        uvloop.run(shares(load))
    elif options.what in SCENARIOS:
        uvloop.run(scenario(load, options.what))
    else:
        uvloop.run(rounds(load, options.rounds, options.what == "killed"))


if __name__ == "__main__":
    main()
