"""What Redis in trouble costs: three servers on one Redis that fails in one way after the other (R22).

    python benchmarks/redis_faults.py [--seconds 60] [--only KIND]

Two crowds ask: one far beyond a limit of requests, to see what passes, and one within its limits, to see how long it
waits. The fault begins after 8 s, lasts --seconds and ends; 15 s later everything must be as before. About 85 s for each kind.
"""

import asyncio
import signal
import time
from collections.abc import Callable
from typing import NamedTuple

import staging
from staging import Answer, Figure, Redis, Server, Stage, free_port, fullest, machine, percentile, publish, table

RPM = 1_200
SERVERS = 3
BEFORE, AFTER = 8.0, 15.0  # seconds
STEADY = 100  # requests a second within their limits

CONFIG = """
listen: {{port: 0}}
admin: {{port: 0}}
stores: {{redis: {{url: "{redis}"{replicas}}}}}
providers:
  requests: {{kind: openai, base_url: "{url}", forward_headers: [x-bench], models: {{requests: {{}}}}, limits: {{requests: {{rpm: {rpm}}}}}}}
  steady: {{kind: openai, base_url: "{url}", forward_headers: [x-bench], models: {{steady: {{}}}}, limits: {{steady: {{rpm: 1000000, tpm: 1000000000, concurrency: 10000}}}}}}
models: {{requests: requests/requests, steady: steady/steady}}
tiers: {{fast: {{models: [requests/requests]}}, deep: {{models: [steady/steady]}}}}
"""
FIGURES: list[Figure] = []
ROWS = [
    (
        "Redis is",
        "5xx or no answer",
        "p99 before, ms",
        "p99 first second, ms",
        "p99 after, ms",
        "passed in the worst 60 s",
        "passed in the first 60 s of the fault",
        "degraded after, s",
        "back after, s",
        "log lines",
    )
]


class Slow:
    """Stands between the servers and Redis and passes bytes on after `delay` seconds."""

    def __init__(self, redis: Redis) -> None:
        self.delay = 0.0
        self.port = free_port()
        self._redis = redis

    async def __aenter__(self) -> "Slow":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *error: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._redis.port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(self._pass(reader, back), self._pass(there, writer))

    @staticmethod
    def _write(writer: asyncio.StreamWriter, data: bytes) -> None:
        if not writer.is_closing():
            writer.write(data)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        try:
            while data := await reader.read(65_536):
                loop.call_later(self.delay, self._write, writer, data) if self.delay else self._write(writer, data)
        except OSError:
            pass
        writer.close()


class Fault(NamedTuple):
    """How it begins and how it ends."""

    begin: Callable[[Redis, Slow], object]
    end: Callable[[Redis, Slow], object]


def _nothing(redis: Redis, slow: Slow) -> None:
    return


def _restarted(redis: Redis, slow: Slow) -> None:
    redis.kill()
    redis.start()


def _no_disk(redis: Redis, slow: Slow) -> None:
    redis.do("CONFIG", "SET", "dir", "/proc")  # where nobody can save
    redis.do("CONFIG", "SET", "save", "3600 1")
    redis.do("BGSAVE")


def _password(redis: Redis, slow: Slow) -> None:
    redis.do("CONFIG", "SET", "requirepass", "x")
    redis.do("-a", "x", "--no-auth-warning", "CLIENT", "KILL", "TYPE", "normal")


def _slowed(seconds: float) -> Callable[[Redis, Slow], None]:
    def slowed(redis: Redis, slow: Slow) -> None:
        slow.delay = seconds

    return slowed


FAULTS = {
    "killed": Fault(lambda redis, _: redis.kill(), lambda redis, _: redis.start()),
    "stopped (SIGSTOP)": Fault(
        lambda redis, _: redis.signal(signal.SIGSTOP), lambda redis, _: redis.signal(signal.SIGCONT)
    ),
    "slow (200 ms)": Fault(_slowed(0.2), _slowed(0.0)),
    "restarted empty": Fault(_restarted, _nothing),
    "read-only": Fault(
        lambda redis, _: redis.do("REPLICAOF", "127.0.0.1", "1"), lambda redis, _: redis.do("REPLICAOF", "NO", "ONE")
    ),
    "out of memory": Fault(
        lambda redis, _: redis.do("CONFIG", "SET", "maxmemory", "1"),
        lambda redis, _: redis.do("CONFIG", "SET", "maxmemory", "0"),
    ),
    "unable to save (MISCONF)": Fault(_no_disk, lambda redis, _: redis.do("CONFIG", "SET", "save", "")),
    "asking for a password (NOAUTH)": Fault(
        _password, lambda redis, _: redis.do("-a", "x", "--no-auth-warning", "CONFIG", "SET", "requirepass", "")
    ),
    "without its scripts (NOSCRIPT)": Fault(lambda redis, _: redis.do("SCRIPT", "FLUSH"), _nothing),
    "down at the start": Fault(_nothing, lambda redis, _: redis.start()),
}


async def suffer(name: str, fault: Fault, seconds: float) -> None:
    """Run one case and add its row."""
    late = name == "down at the start"
    async with Stage() as stage:
        redis = stage.redis()
        if not late:
            redis.start()
        async with Slow(redis) as slow:
            text = CONFIG.format(
                redis=f"redis://127.0.0.1:{slow.port if 'slow' in name else redis.port}",
                url=await stage.provider(),
                rpm=RPM,
                replicas=f", replicas: {SERVERS}" if late else "",  # else as many as were seen last
            )
            servers = [await stage.server(text) for _ in range(SERVERS)]
            began = time.monotonic()
            until = began + BEFORE + seconds + AFTER
            crowds = asyncio.gather(
                stage.crowd(servers, "requests", 3 * RPM / 60, until, lambda: "10,10,0.01"),
                stage.crowd(servers, "steady", STEADY, until, lambda: "10,10,0.01"),
            )
            await asyncio.sleep(BEFORE)
            broken = time.monotonic()
            await asyncio.to_thread(fault.begin, redis, slow)
            await asyncio.sleep(seconds)
            mended = time.monotonic()
            await asyncio.to_thread(fault.end, redis, slow)
            answers = await crowds
        passed = [one.at for one in stage.arrivals() if one.model == "requests"]
        _judge(name, servers, answers, passed, began if late else broken, mended)


def _judge(
    name: str, servers: list[Server], answers: list[list[Answer]], passed: list[float], broken: float, mended: float
) -> None:
    heard = [one for crowd in answers for one in crowd]
    bad = sum(one.status >= 500 or one.status == 0 for one in heard)
    waits = [(one.at, one.took * 1000) for one in answers[1]]
    before = percentile([took for at, took in waits if at < broken - 0.1], 0.99)
    first = percentile([took for at, took in waits if broken - 0.1 <= at < broken + 1], 0.99)
    after = percentile([took for at, took in waits if broken + 1 <= at < mended], 0.99)
    worst = fullest([(at, 1) for at in passed])
    counted = min(mended - broken, 60.0)
    during = len([at for at in passed if broken <= at < broken + counted])
    fair = RPM * counted / 60  # what the limit allows in that time, if nothing had been used before
    said = [[(at, line) for at, line in server.said if "redis" in line] for server in servers]
    down = [at - broken for lines in said for at, line in lines if "degraded" in line]
    back = [at - mended for lines in said for at, line in lines if "shared again" in line]
    ROWS.append(
        (
            name,
            str(bad),
            f"{before:.1f}",
            f"{first:.1f}",
            f"{after:.1f}",
            f"{worst:,} of {RPM:,} ({worst / RPM:.2f})",
            f"{during:,} ({during / fair:.2f} of the limit)",
            f"{max(down):.2f}" if down else "never",
            f"{max(back):.2f}" if back and max(back) > 0 else ("never away" if not down else "at once"),
            "/".join(str(len(lines)) for lines in said),
        )
    )
    print(" | ".join(ROWS[-1]), flush=True)
    highest = max(first, after)  # itself below the bar for what is added: what was before may be the machine's own
    recovered = max(back, default=0.0)
    said = (
        f"{bad} x 5xx; p99 {highest:.0f} ms (before {before:.0f}); {during / fair:.2f} x limit passed, {worst / RPM:.2f} in the worst 60 s; "
        f"back after {max(recovered, 0.0):.1f} s"
    )
    met = not bad and highest <= 100 and during / fair >= 0.5 / SERVERS and worst / RPM <= 1.1 and recovered <= 5
    bar = "0 x 5xx; p99 added <= 100 ms; 0.5 x share to 1.1 x limit; back <= 5 s"
    FIGURES.append(Figure(f"Redis {name}", bar, said, met))


async def main() -> None:
    """Run what was asked for and print a table."""
    parser = staging.options(__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--only", choices=FAULTS)
    parser.add_argument("--write", action="store_true", help="write the figures into fleet.md")
    options = parser.parse_args()
    about = machine(options.rt)
    print(about, flush=True)
    for name, fault in FAULTS.items():
        if options.only in (None, name):
            await suffer(name, fault, options.seconds)
    lines = [about, "", *table(ROWS)]
    print("\n".join(lines[1:]))
    if options.write:
        publish("redis_faults.py", lines)


if __name__ == "__main__":
    asyncio.run(main())
