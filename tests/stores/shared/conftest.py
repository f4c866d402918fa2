"""A mapped file, and other processes that use it."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.stores.contract import SIZE

from twospeed.stores.shared import Tables, attach, create

Spawn = Callable[[str], subprocess.Popen[str]]

PRELUDE = """
import asyncio, sys, time
from twospeed.policy.limit import Ask, Limit, Permit
from twospeed.policy.breaker import Breaker
from twospeed.errors import Kind
from twospeed.stores.shared import SharedAffinity, SharedHealth, SharedLimits, attach
tables = attach(sys.argv[1])
def ready():
    print("ready", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Where the file is."""
    where = str(tmp_path / "shared")
    create(where, SIZE)
    return where


@pytest.fixture
def tables(path: str) -> Tables:
    """The file as this process sees it."""
    return attach(path)


@pytest.fixture
def spawn(path: str) -> Iterator[Spawn]:
    """Start a worker that runs a script with `tables` at hand; it says ready and goes on when written to."""
    started: list[subprocess.Popen[str]] = []

    def start(script: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", PRELUDE + script, path]
        worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(worker)
        return worker

    yield start
    for worker in started:
        worker.kill()
        worker.communicate()
