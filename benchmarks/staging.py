"""What the benchmarks of a fleet stand on: a Redis, a provider that counts, servers, a crowd of clients, and sums.

All of it runs on this machine and ends with the `Stage`. With `--rt` it has real-time priority (as `chrt -r 50` gives), so that
other work on the machine is not taken for its own.
"""

import argparse
import asyncio
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from itertools import accumulate
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import aiohttp

HERE = Path(__file__).parent
FLEET = HERE / "fleet.md"
WINDOW = 60.0  # seconds


class Figure(NamedTuple):
    """One promise with its bar and what was measured. `row`: of the table it belongs to."""

    row: str
    bar: str
    measured: str
    met: bool


class Arrival(NamedTuple):
    """One request as the provider saw it. Instants of the monotonic clock; `ended` is infinite while it lasts."""

    at: float
    model: str
    tokens: int
    ended: float


class Answer(NamedTuple):
    """One request as its client saw it. `status` 0: no answer came. `server`: the URL it went to."""

    at: float
    status: int
    took: float
    server: str = ""


class Redis:
    """A Redis server of one's own; its port stays the same over restarts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> None:
        """Start it, empty, and wait until it answers."""
        program = shutil.which("redis-server")
        if program is None:
            raise SystemExit("redis-server is not installed")
        fixed = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self.folder)]
        fixed += ["--enable-protected-configs", "yes"]
        self.process = subprocess.Popen([program, *fixed, *options], stdout=subprocess.DEVNULL)
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except OSError:
                time.sleep(0.01)

    def signal(self, number: int) -> None:
        """Send it a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """Kill it, if it runs."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def do(self, *words: str) -> str:
        """Run one command, through redis-cli."""
        done = subprocess.run(["redis-cli", "-p", str(self.port), *words], capture_output=True, text=True, timeout=10)
        return done.stdout.strip()


class Server:
    """One `twospeed serve`, alone or with workers."""

    def __init__(self, process: asyncio.subprocess.Process, url: str, admin: str, file: Path) -> None:
        self.process, self.url, self.admin, self.file = process, url, admin, file
        self.port = int(url.rsplit(":", 1)[1].partition("/")[0])
        self.said: list[tuple[float, str]] = []  # instant and line, after the start

    async def listen(self) -> None:
        """Keep what it says."""
        assert self.process.stderr
        while line := await self.process.stderr.readline():
            self.said.append((time.monotonic(), line.decode().rstrip()))


class Stage:
    """Everything that runs for a benchmark.

    async with Stage() as stage: ...
    """

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._arrivals = 0

    async def __aenter__(self) -> "Stage":
        self.folder = Path(self._stack.enter_context(TemporaryDirectory(prefix="twospeed-bench-")))
        self.http = await self._stack.enter_async_context(
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, force_close=False), timeout=aiohttp.ClientTimeout(total=60)
            )
        )
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    def redis(self) -> Redis:
        """Make a Redis, not started yet."""
        redis = Redis(self.folder)
        self._stack.callback(redis.kill)
        return redis

    async def provider(self) -> str:
        """Start the counting provider and return its base URL."""
        self._arrivals += 1
        self._file = self.folder / f"arrivals-{self._arrivals}"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(HERE / "counting_provider.py"), str(self._file)),
            stdout=asyncio.subprocess.PIPE,
        )
        self._stack.push_async_callback(_ended, process, signal.SIGTERM)
        assert process.stdout
        return f"http://127.0.0.1:{int(await process.stdout.readline())}/v1"

    def own(self, task: "asyncio.Task[Any]") -> None:
        """End a task with the stage."""
        self._stack.callback(task.cancel)

    async def tellers(self, faults: str = "1%") -> list[str]:
        """Start two telling providers and return their base URLs."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(HERE / "telling_provider.py"), "--faults", faults), stdout=asyncio.subprocess.PIPE
        )
        self._stack.push_async_callback(_ended, process, signal.SIGTERM)
        assert process.stdout
        return [f"http://127.0.0.1:{int(port)}/v1" for port in (await process.stdout.readline()).split()]

    def rewrite(self, server: Server, change: Callable[[str], str]) -> None:
        """Change the configuration file of a server."""
        server.file.write_text(change(server.file.read_text()))

    async def server(self, config: str, *options: str, **env: str) -> Server:
        """Start a server and wait until it serves."""
        file = self.folder / f"config-{len(list(self.folder.glob('config-*')))}.yaml"
        file.write_text(config)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "twospeed", "serve", "--config", str(file), "--log", "off", *options),
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "TWOSPEED_STATE_DIR": str(self.folder / "state"), **env},
        )
        self._stack.push_async_callback(_ended, process, signal.SIGKILL)
        url = admin = said = ""
        assert process.stderr
        while "try:" not in (line := (await process.stderr.readline()).decode()):
            said += line
            if not line:
                raise SystemExit(f"the server did not start: {said}")
            url = line.split()[2] if "serves" in line else url
            admin = line.split()[1].removesuffix("/metrics") if "admin:" in line else admin
        await process.stderr.readline()
        server = Server(process, url, admin, file)
        listening = asyncio.create_task(server.listen())
        self._stack.callback(listening.cancel)
        return server

    def arrivals(self) -> list[Arrival]:
        """Read what has reached the provider so far."""
        began: dict[str, Arrival] = {}
        for line in self._file.read_text().splitlines():
            sign, number, at, *rest = line.split()
            if sign == "+":
                model, read, written = rest
                began[number] = Arrival(float(at), model, int(read) + int(written), float("inf"))
            else:
                began[number] = began[number]._replace(ended=float(at))
        return sorted(began.values())

    async def ask(self, server: Server, model: str, order: str, **more: Any) -> Answer:
        """Ask for one completion and read it whole."""
        body = {"model": model, "messages": [{"role": "user", "content": "x" * 400}], **more}
        began = time.monotonic()
        try:
            async with self.http.post(
                f"{server.url}/chat/completions", json=body, headers={"x-bench": order}
            ) as answer:
                await answer.read()
                return Answer(began, answer.status, time.monotonic() - began, server.url)
        except (aiohttp.ClientError, TimeoutError, OSError):
            return Answer(began, 0, time.monotonic() - began, server.url)

    async def crowd(
        self, servers: Sequence[Server], model: str, rate: float, until: float, order: Callable[[], str], **more: Any
    ) -> list[Answer]:
        """Ask `rate` times a second, servers in turn, whatever comes back (an open loop), and wait for the answers."""
        asked: list[asyncio.Task[Answer]] = []
        began = time.monotonic()
        while (now := time.monotonic()) < until:
            while len(asked) < (now - began) * rate:
                server = servers[len(asked) % len(servers)]
                asked.append(asyncio.create_task(self.ask(server, model, order(), **more)))
            await asyncio.sleep(0.005)
        return list(await asyncio.gather(*asked))


async def fallen_silent(reader: asyncio.StreamReader, patience: float = 0.5) -> bytes:
    """Read until the other side is done, or says nothing more for a while."""
    got = b""
    while True:
        try:
            async with asyncio.timeout(patience if got else 10 * patience):
                data = await reader.read(1 << 20)
        except TimeoutError:
            return got
        if not data:
            return got
        got += data


async def _ended(process: asyncio.subprocess.Process, number: int) -> None:
    if process.returncode is None:
        process.send_signal(number)
    await process.wait()


def fullest(events: Sequence[tuple[float, int]]) -> int:
    """Return the largest sum within any WINDOW; events are (instant, weight), in order."""
    sums = [0, *accumulate(weight for _, weight in events)]
    instants = [at for at, _ in events]
    return max((sums[n + 1] - sums[bisect_left(instants, at - WINDOW)] for n, at in enumerate(instants)), default=0)


def at_once(arrivals: Sequence[Arrival]) -> int:
    """Return how many were under way at once at most."""
    steps = sorted([(one.at, 1) for one in arrivals] + [(one.ended, -1) for one in arrivals])
    return max(accumulate(step for _, step in steps), default=0)


def busy_share(arrivals: Sequence[Arrival], slots: int, since: float, until: float) -> float:
    """Return the share of slot seconds in use between two instants."""
    used = sum(max(0.0, min(one.ended, until) - max(one.at, since)) for one in arrivals)
    return used / (slots * (until - since))


def statuses(answers: Sequence[Answer]) -> str:
    """Count answers by status."""
    return ", ".join(f"{status or 'none'}: {n}" for status, n in sorted(Counter(one.status for one in answers).items()))


def percentile(values: Sequence[float], share: float) -> float:
    """Return a percentile of values, nan for none."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))] if ranked else float("nan")


def options(doc: str | None) -> argparse.ArgumentParser:
    """Return a parser of the options that all of these benchmarks have."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rt", action="store_true", help="with real-time priority, where other work runs")
    return parser


def machine(rt: bool) -> str:
    """Describe where this runs, with real-time priority for this process and all it starts from here on if `rt`."""
    if rt:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(50))
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    redis = subprocess.run(["redis-server", "--version"], capture_output=True, text=True).stdout.split()[2:3]
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} vCPU, {model}, Linux {platform.release()}, CPython {platform.python_version()}, "
        f"Redis {'-'.join(redis)}, {'all at SCHED_RR, ' if rt else ''}load average {load:.1f} at the start"
    )


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Render rows, the first being the head, as a Markdown table."""
    head, *body = rows
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in body:
        yield "| " + " | ".join(row) + " |"


def resident(pid: int, what: str = "VmRSS") -> float:
    """Return the resident memory of a process in MB; `VmHWM`: at its peak."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition(f"{what}:")[2].split()[0]) * 1024 / 1e6


def publish(name: str, lines: Sequence[str], file: Path = FLEET) -> None:
    """Put figures under their heading in a page, in place of those before."""
    text = file.read_text() if file.exists() else "# Figures of a fleet\n"
    before, _, rest = text.partition(f"\n## {name}\n")
    after = rest[rest.index("\n## ") :] if "\n## " in rest else ""
    file.write_text(f"{before.rstrip()}\n\n## {name}\n\n" + "\n".join(lines).strip() + "\n" + after)
