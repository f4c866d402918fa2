"""Does it hold for hours? Mixed requests for a long time, every answer checked against what the provider was told to say.

    python benchmarks/soak.py [--minutes 20] [--rate 200] [--write]

Chat, completions, responses and messages, plain and streamed, over two providers of which each fails 1% of its requests
in every way it can; 5% of the clients leave in the middle; Redis, which keeps the limits, is restarted a quarter of the way,
and the configuration reloaded at a half and at three quarters. Open loop; everything on this machine. Held: no wrong answer,
no stream that ends without its end or an error, no request unanswered, nothing left over afterwards (tasks, sockets, requests
at the providers), memory that does not grow between what disturbs, and not with each of ten reloads at the end. Ends with exit
code 1 when that is missed.
"""

import asyncio
import json
import os
import random
import signal
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import uvloop

import staging
from asking import PATHS, Asked, Asker, asked, judged
from staging import HERE, Redis, Server, Stage, machine, percentile, publish, resident, table

DROPS = 0.09  # of the clients try to leave in the middle; half of those have their answer before
# All seen within a minute, so that what is remembered of them does not look like a leak; none comes again while its request
# before may still run, since a newer completion of the same session would end that, as it should.
SESSIONS = 4_000
AWAY = 2.0  # seconds for which Redis is away
QUIET = 8.0  # seconds until everything must be given back; connections to providers are kept for 2 s
DISTURBED = (0.25, 0.5, 0.75)  # of the time: when Redis is restarted, and the configuration reloaded
SETTLED = 0.25  # of the time between two of those, after which memory is looked at
GROWTH = 0.1  # MB a minute that count as none: what an allocator does
RELOADS = 10  # at the end, after two that make room for two configurations at once
EACH = 0.1  # MB that each of them may add
DONE = "reloads: {'ok': 2, 'refused': 0}"
Point = tuple[float, float]  # seconds since the start, MB
BAD = ("wrong", "silent", "misshapen", "unanswered", "late")

CONFIG = """
listen: {{port: 0, keep_alive: 2m}}
admin: {{port: 0}}
reload: {{watch: false, last_good: false}}
stores: {{redis: {{url: "{redis}"}}}}
providers:
  one: {{kind: openai, base_url: "{one}", keep_alive: 2s, dialects: [chat, completions, responses, messages], models: {{told: {{}}}}, limits: {{told: {{rpm: 1M, tpm: 1G, concurrency: 10k}}}}}}
  two: {{kind: openai, base_url: "{two}", keep_alive: 2s, dialects: [chat, completions], models: {{told: {{}}}}, limits: {{told: {{rpm: 1M, tpm: 1G, concurrency: 10k}}}}}}
models: {{"*": auto}}
tiers:
  fast: {{models: [{fast}], timeouts: {{first_token: 2s, idle: 2s, total: 10s}}}}
  deep: {{models: [{deep}], timeouts: {{first_token: 2s, idle: 2s, total: 10s}}}}
telemetry: {{traces: {{ratio: 1%}}}}
"""


class Soak:
    """One run. `outcomes`: (api, streamed, what became of it) -> how often."""

    def __init__(self, stage: Stage, server: Server, redis: Redis, seconds: float, rate: float) -> None:
        self.outcomes: Counter[tuple[str, bool, str]] = Counter()
        self.refusals: Counter[str] = Counter()
        self.odd: list[tuple[str, Asked, bytes]] = []
        self.memory: list[Point] = []
        self.lag: list[float] = []  # seconds by which requests were sent late
        self.events: list[str] = []
        self._stage, self._server, self._redis = stage, server, redis
        self._seconds, self._rate = seconds, rate
        self._asker = Asker(server.port)
        self._chance = random.Random(7)

    async def run(self) -> None:
        """Send it all and wait for the last answer."""
        self._began = time.monotonic()
        others = [asyncio.create_task(work) for work in (self._look(), self._disturb(), self._report())]
        asking: set[asyncio.Task[None]] = set()
        due, number = 0.0, 0
        while due < self._seconds:
            late = time.monotonic() - self._began - due
            if late < 0:
                await asyncio.sleep(-late)
            self.lag.append(max(0.0, late))
            task = asyncio.create_task(self._one(number))
            asking.add(task)
            task.add_done_callback(asking.discard)
            due += self._chance.expovariate(self._rate)
            number += 1
        await asyncio.gather(*asking)
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        self._asker.close()

    async def _one(self, number: int) -> None:
        chance = self._chance
        one = asked(chance.choice(tuple(PATHS)), chance.random() < 0.6, number, chance)
        leaves = chance.random() < DROPS
        patience = chance.uniform(0.001, 0.12) if leaves else 40.0
        heard = None
        try:
            session = f"s{number % SESSIONS}"
            heard = await self._asker.ask(one, patience, abort=number % 2 == 0, session=session)
            outcome = judged(one, heard)
        except TimeoutError:
            outcome = "left" if leaves else "late"
        except (OSError, asyncio.IncompleteReadError):
            outcome = "unanswered"
        self.outcomes[one.api, one.stream, outcome] += 1
        if outcome == "refused" and heard:
            self.refusals[f"{heard.status} {json.loads(heard.body)['error'].get('code')}"] += 1
        if outcome in BAD and len(self.odd) < 20:
            self.odd.append((outcome, one, heard.head + heard.body if heard else b""))

    async def _look(self) -> None:
        while True:
            self.memory.append((time.monotonic() - self._began, resident(self._server.process.pid)))
            await asyncio.sleep(self._seconds / 400)

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(60)
            said = Counter(outcome for (_, _, outcome), n in self.outcomes.items() for _ in range(n))
            print(
                f"{(time.monotonic() - self._began) / 60:.0f} min: {dict(said)}, {self.memory[-1][1]:.1f} MB",
                flush=True,
            )

    async def _disturb(self) -> None:
        await asyncio.sleep(self._seconds / 4)
        await asyncio.to_thread(self._redis.kill)
        await asyncio.sleep(AWAY)
        await asyncio.to_thread(self._redis.start)
        self.events.append("Redis restarted")
        for swap in (True, False):
            await asyncio.sleep(self._seconds / 4)
            self._stage.rewrite(self._server, swapped if swap else swapped_back)
            self._server.process.send_signal(signal.SIGHUP)
            await asyncio.sleep(1)
            async with self._stage.http.get(f"{self._server.admin}/admin/status") as answer:
                self.events.append(f"reloads: {(await answer.json())['reloads']}")


def swapped(text: str) -> str:
    """Return the configuration with the providers of the fast tier in the other order."""
    return text.replace("fast: {models: [one/told, two/told]", "fast: {models: [two/told, one/told]")


def swapped_back(text: str) -> str:
    """Return it as it was."""
    return text.replace("fast: {models: [two/told, one/told]", "fast: {models: [one/told, two/told]")


def sockets(pid: int) -> int:
    """Count the sockets a process has open."""
    return sum(os.readlink(entry).startswith("socket:") for entry in Path(f"/proc/{pid}/fd").iterdir())


def calm(points: Sequence[Point], seconds: float) -> list[list[Point]]:
    """Return the stretches between what disturbs, each from when it has settled."""
    ends = (*DISTURBED[1:], 1.0)
    stretches = [(begin + SETTLED * (end - begin), end) for begin, end in zip(DISTURBED, ends, strict=True)]
    return [[point for point in points if begin <= point[0] / seconds < end] for begin, end in stretches]


def slope(stretches: Sequence[Sequence[Point]]) -> float:
    """Return MB a minute by least squares, the same in all stretches, each from a level of its own."""
    above = below = 0.0
    for points in stretches:
        mean_x = sum(x for x, _ in points) / len(points)
        mean_y = sum(y for _, y in points) / len(points)
        above += sum((x - mean_x) * (y - mean_y) for x, y in points)
        below += sum((x - mean_x) ** 2 for x, _ in points)
    return 60 * above / below if below else 0.0


async def reloads(stage: Stage, server: Server, times: int) -> float:
    """Reload the configuration so many times, each time changed; return MB that each has added."""
    before = resident(server.process.pid)
    for number in range(times):
        stage.rewrite(server, swapped_back if number % 2 else swapped)
        server.process.send_signal(signal.SIGHUP)
        await asyncio.sleep(1.5)  # connections that the last one has no use for are gone as well
    return (resident(server.process.pid) - before) / times


async def left_over(stage: Stage, server: Server, providers: Sequence[str]) -> dict[str, int]:
    """Count what should be nothing more than before the load."""
    async with stage.http.get(f"{server.admin}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    gauges = {
        line.split()[0]: int(float(line.split()[1]))
        for line in lines
        if line.startswith(("twospeed_tasks ", "twospeed_requests_in_flight "))
    }
    under_way = 0
    for base in providers:
        with await asyncio.to_thread(urllib.request.urlopen, base.removesuffix("/v1") + "/stats") as answer:
            under_way += json.load(answer)["in_flight"]
    return {
        "tasks": gauges["twospeed_tasks"],
        "requests in flight": gauges["twospeed_requests_in_flight"],
        "sockets": sockets(server.process.pid),
        "requests at the providers": under_way,
    }


async def run(minutes: float, rate: float) -> tuple[list[str], bool]:
    """Run it; return the report and whether everything held."""
    async with Stage() as stage:
        redis = stage.redis()
        redis.start()
        one, two = await stage.tellers()
        order = {"fast": "one/told, two/told", "deep": "two/told, one/told"}
        server = await stage.server(CONFIG.format(redis=redis.url, one=one, two=two, **order))
        before = await left_over(stage, server, (one, two))
        cpu = time.process_time()
        soak = Soak(stage, server, redis, minutes * 60, rate)
        await soak.run()
        cpu = (time.process_time() - cpu) / (minutes * 60)
        await asyncio.sleep(QUIET)
        after = await left_over(stage, server, (one, two))
        await reloads(stage, server, 2)
        each = await reloads(stage, server, RELOADS)
        alive = server.process.returncode is None
        bugs = [line for _, line in server.said if "bug:" in line or "Traceback" in line or "exception" in line.lower()]
        redis_lines = [line for _, line in server.said if "redis" in line]
    return judge(soak, before, after, alive, bugs, redis_lines, cpu, each)


def judge(
    soak: Soak,
    before: dict[str, int],
    after: dict[str, int],
    alive: bool,
    bugs: list[str],
    redis: list[str],
    cpu: float,
    each: float,
) -> tuple[list[str], bool]:
    """Say what came of it."""
    kinds = ["whole", "told", "refused", "left", *BAD]
    rows: list[Sequence[str]] = [("asked for", *kinds)]
    for api in PATHS:
        for stream in (False, True):
            counts = [soak.outcomes[api, stream, kind] for kind in kinds]
            rows.append((f"{api}{', streamed' if stream else ''}", *(f"{count:,}" for count in counts)))
    totals = {kind: sum(n for (_, _, what), n in soak.outcomes.items() if what == kind) for kind in kinds}
    rows.append(("all", *(f"{totals[kind]:,}" for kind in kinds)))
    stretches = calm(soak.memory, soak.memory[-1][0])
    growth = slope(stretches)
    levels = ", ".join(f"{points[0][1]:.1f} to {points[-1][1]:.1f}" for points in stretches)
    report = [
        *table(rows),
        "",
        f"- Refused: {', '.join(f'{n} x {what}' for what, n in soak.refusals.most_common()) or 'none'}. What disturbed: {', '.join(soak.events)}.",
        f"- Memory: {soak.memory[0][1]:.1f} MB at the start; after the restart and each reload {levels} MB: {growth:+.3f} MB a minute, {each * 1000:+.0f} KB with each of {RELOADS} reloads at the end.",
        f"- Before the load and {QUIET:.0f} s after it: " + ", ".join(f"{name} {before[name]} and {after[name]}" for name in before) + ".",
        f"- Requests were sent {percentile(soak.lag, 0.5) * 1000:.1f} ms late at the median, {percentile(soak.lag, 0.99) * 1000:.0f} ms at p99; the load generator took {cpu:.0%} of a core.",
        f"- Redis in the log: {len(redis)} lines; bugs in the log: {len(bugs)}; the server was {'alive' if alive else 'DEAD'}.",
    ]  # fmt: skip
    for kind, one, heard in soak.odd:
        file = HERE / ".build" / f"soak-{kind}-{len(list((HERE / '.build').glob('soak-*')))}"
        file.write_bytes(one.body + b"\n\n" + one.wanted.encode() + b"\n\n" + heard)
        report.append(f"- {kind}: {one.api}{', streamed' if one.stream else ''}, kept in {file.name}")
    held = alive and not bugs and growth < GROWTH and each < EACH and soak.events[-1:] == [DONE]
    held = held and not any(totals[kind] for kind in BAD) and all(after[name] <= before[name] for name in before)
    return [*report, *bugs[:5]], held


def main() -> int:
    """Read the options and run."""
    parser = staging.options(__doc__)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--rate", type=float, default=200.0, help="requests a second")
    parser.add_argument("--write", action="store_true", help="write the figures into fleet.md")
    options = parser.parse_args()
    (HERE / ".build").mkdir(exist_ok=True)
    about = [machine(options.rt), "", f"{options.minutes:g} minutes at {options.rate:g} requests a second.", ""]
    print("\n".join(about), flush=True)
    report, held = uvloop.run(run(options.minutes, options.rate))
    report.append(
        f"\n{'All of it held.' if held else 'NOT all of it held.'} Load average at the end: {os.getloadavg()[0]:.1f}."
    )
    print("\n".join(report))
    if options.write:
        publish("soak.py", [*about, *report])
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
