"""`twospeed bench`: a load test against a live server."""

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from twospeed.cli import FAILED, MISUSED, OK
from twospeed.cli.check import headers
from twospeed.config import secret
from twospeed.drill.bench import Bench, Load, address, given
from twospeed.drill.bench_report import as_json, progress, table
from twospeed.drill.bench_tally import Spread, Tally
from twospeed.errors import Fault
from twospeed.secrets import Unresolved


def bench(options: argparse.Namespace) -> int:
    """Put a server under load and say how it bore it; 1 when more than `--max-errors` requests failed."""
    try:
        run = Bench(load(options))
    except OSError as error:
        print(f"{options.body}: cannot be read: {(error.strerror or str(error)).lower()}", file=sys.stderr)
        return MISUSED
    except (ValueError, Unresolved) as error:
        print(error, file=sys.stderr)
        return MISUSED
    except Fault as fault:
        print(f"{options.path} does not take this body: {fault.message}", file=sys.stderr)
        return MISUSED
    import uvloop

    uvloop.run(_run(run))
    said = (run.load, run.tally, run.elapsed)
    print(json.dumps(as_json(*said), indent=2) if options.json else table(*said))
    return FAILED if run.tally.failed > options.max_errors else OK


def load(options: argparse.Namespace) -> Load:
    """Turn options into a load. Raises: OSError, ValueError, Unresolved."""
    bodies = given(Path(options.body).read_text()) if options.body else []
    return Load(
        url=address(options.url),
        path=options.path,
        model=options.model or ("" if bodies else "auto"),
        rate=options.rate,
        duration=options.duration,
        streams=options.streams,
        concurrency=options.concurrency,
        timeout=options.timeout,
        sizes=tuple(options.sizes),
        headers=tuple(_headers(options)),
        bodies=tuple(bodies),
        seed=options.seed,
        sessions=options.sessions,
    )


async def _run(run: Bench) -> None:
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, run.stop)
    before = 0.0

    def say(elapsed: float, tally: Tally) -> None:
        nonlocal before
        print(progress(elapsed, before, tally), file=sys.stderr, flush=True)
        before, tally.recent = elapsed, Spread()

    telling = asyncio.create_task(run.watch(say))  # awaited below
    try:
        await run.run()
    finally:
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)


def _headers(options: argparse.Namespace) -> Iterator[tuple[bytes, bytes]]:
    if options.key:
        yield b"authorization", b"Bearer " + secret(options.key).encode()
    yield from headers(options.header)
