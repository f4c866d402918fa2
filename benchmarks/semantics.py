"""Does it keep what it promises? Every figure of docs/semantics.md, measured: figure, bar, measured, met.

    python benchmarks/semantics.py                    # all of it, half an hour; writes semantics.md
    python benchmarks/semantics.py --only cancel      # one row or several, measured anew; the others stay as they were
    python benchmarks/semantics.py --short            # windows and faults for half as long; says less

Each case starts its own servers and providers on this machine. The exit code is 1 when a bar is missed.
"""

import asyncio
import os
import re
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable

import uvloop

import limits
import promises
import redis_faults
import staging
from staging import HERE, Figure, machine, publish, table

PAGE = HERE / "semantics.md"
INTRO = """# What is promised, and what was measured

Made by `benchmarks/semantics.py`. Bars: [docs/semantics.md](../docs/semantics.md) and the figures its rules name. Each group of
rows says where and when it was measured; on a machine that others use at the same time, times are those of the machine.
"""


async def fleet(short: bool) -> list[Figure]:
    """Limits that several processes keep together, and one of them killed."""
    seconds = 61.0 if short else 121.0
    await limits.redis(seconds)
    await limits.workers(seconds)
    await limits.killed(seconds)
    await limits.dead()
    return limits.FIGURES


async def redis(short: bool) -> list[Figure]:
    """Redis in every kind of trouble."""
    for name, fault in redis_faults.FAULTS.items():
        await redis_faults.suffer(name, fault, 15.0 if short else 60.0)
    return redis_faults.FIGURES


async def fuzz(short: bool) -> list[Figure]:
    """Mutated requests."""
    said, code = await _run("fuzz.py", "--requests", "10000" if short else "50000")
    lines = [line for line in said.splitlines() if "5xx and hangs" in line or "requests," in line]
    measured = re.sub(r"^(\d+) requests,.*", r"\1 requests", lines[0]) + "; " + lines[1]
    return [Figure("Fuzz", "50,000 mutated requests: 0 x 5xx, 0 hangs, < 50 MB", measured, code == 0)]


async def slow(short: bool) -> list[Figure]:
    """Clients that are slow on purpose."""
    said, code = await _run("slow_clients.py", "--clients", "150" if short else "500")
    measured = "; ".join(said.strip().splitlines())
    return [Figure("Slowloris", "closed <= deadline + 3 s, a healthy request < 1 s meanwhile", measured, code == 0)]


async def _run(script: str, *options: str) -> tuple[str, int]:
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, str(HERE / script), *options], capture_output=True, text=True, check=False
    )
    return done.stdout or done.stderr, done.returncode


def _alone(case: Callable[[], Awaitable[list[Figure]]]) -> Callable[[bool], Awaitable[list[Figure]]]:
    async def run(short: bool) -> list[Figure]:
        return await case()

    return run


CASES: dict[str, Callable[[bool], Awaitable[list[Figure]]]] = {
    **{name: _alone(case) for name, case in promises.CASES.items()},
    "slow": slow,
    "fuzz": fuzz,
    "fleet": fleet,
    "redis": redis,
}


def lines(figures: list[Figure], about: str, short: bool) -> list[str]:
    """Write the section of one case."""
    rows = [("figure", "bar", "measured", "met"), *((*figure[:3], "yes" if figure.met else "NO") for figure in figures)]
    return [f"{time.strftime('%Y-%m-%d')}, {about}{', short' if short else ''}", "", *table(rows)]


def main() -> int:
    """Run what was asked for and write the page."""
    parser = staging.options(__doc__)
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--short", action="store_true")
    options = parser.parse_args()
    good = True
    for name in options.only:
        about = machine(options.rt)
        figures = uvloop.run(CASES[name](options.short))
        good = good and all(figure.met for figure in figures)
        about += f", {os.getloadavg()[0]:.1f} at the end"
        if not PAGE.exists():
            PAGE.write_text(INTRO)
        publish(name, lines(figures, about, options.short), PAGE)
        for figure in figures:
            print(f"{'met ' if figure.met else 'MISSED'} {figure.row}: {figure.measured}   ({figure.bar})", flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
