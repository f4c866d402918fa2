"""The `twospeed` command as a process: started for a test, read until it says something, never left behind."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from tempfile import TemporaryDirectory


class Process:
    """A process and what it says. `said`: all that was read so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.said = ""

    async def until(self, pattern: str) -> re.Match[str]:
        """Read what it says until this appears."""
        async with asyncio.timeout(20):
            while not (found := re.search(pattern, self.said)):
                line = await self.process.stderr.readline()
                assert line, self.said
                self.said += line.decode()
        return found

    async def ended(self) -> int:
        """Wait for its end and return its exit code; the rest of what it said is read."""
        async with asyncio.timeout(20):
            self.said += (await self.process.stderr.read()).decode()
            return await self.process.wait()


@asynccontextmanager
async def running(*arguments: str, **env: str) -> AsyncIterator[Process]:
    """Run a command of twospeed; it is killed in the end if it still runs."""
    with TemporaryDirectory() as state:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "twospeed", *arguments),
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONUNBUFFERED": "1", "TWOSPEED_STATE_DIR": state, **env},
        )
        try:
            yield Process(process)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
