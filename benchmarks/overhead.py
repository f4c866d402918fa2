"""What twospeed costs: CPU per request and per event, latency added, memory per stream, start; beside direct and nginx.

    .venv/bin/python benchmarks/overhead.py [--rounds 3] [--only REGEX] [--rt]

Every round runs every scenario against every target, one right after the other, so that a change of the machine's mood
meets all of them. Samples go to `.build/overhead.jsonl`; the tables of a whole run to `overhead.md`. Three rounds take
less than six minutes.
"""

import argparse
import contextlib
import itertools
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

import programs
from figures import Sample, Samples, bars_table, brief, samples_table
from programs import BUILD, HERE, KEY, Program, Stand
from twospeed.drill.bench_bodies import conversation

SIZES = {"2k": 2_000, "30k": 30_000, "200k": 200_000}
PINNED, AUTO = "fast", "auto"
STREAMS = 500  # open at once, for memory
SETTLED = 2.0  # seconds from first answer to idle: what loads late has loaded
FORMER_HALF = 2_000.0  # requests a second, where half of capacity is asked for and capacity was not measured


@dataclass(frozen=True)
class Scenario:
    """One way to load every target. `load`: arguments of load.c. `events`, `gap_us`: of the mock's streams."""

    name: str
    targets: tuple[str, ...]
    body: str
    load: str
    events: int = 64
    gap_us: int = 0


BOTH = ("nginx", "twospeed")
THREE = ("direct", *BOTH)
SCENARIOS = (
    Scenario("cpu-2k", (*BOTH, "auto", "redis", "workers"), "2k", "closed -c 32 -w 0.4 -t 1.6"),
    Scenario("cpu-30k", (*BOTH, "auto"), "30k", "closed -c 32 -w 0.4 -t 1.6"),
    Scenario("cpu-200k", (*BOTH, "auto"), "200k", "closed -c 32 -w 0.4 -t 1.6"),
    Scenario("lat-100", (*THREE, "auto", "redis"), "2k", "open -r 100 -c 64 -w 0.5 -t 4"),
    Scenario("lat-half", THREE, "2k", "open -r {half} -c 256 -w 0.5 -t 2.5"),
    Scenario("first-token", (*THREE, "auto"), "2k-s", "stream -c 1 -n 20 -w 0.3 -t 1.7", events=20),
    Scenario("events-2k", BOTH, "2k-s", "stream -c 100 -s 500 -w 1 -t 3", events=100_000, gap_us=50_000),
    Scenario("burst-100", THREE, "2k-s", "stream -c 100 -n 500 -w 0.5 -t 1.5", events=500),
)
HOLD = f"stream -c {STREAMS} -s 2000 -w 1 -t 60"  # for memory: ended as soon as it was looked at


class Field:
    """Everything that runs during a benchmark: the mock, and every target that is asked for."""

    def __init__(self, options: argparse.Namespace, stand: Stand) -> None:
        self._options = options
        self._stand = stand
        self._ports: dict[str, int] = {}
        self._running: dict[str, Program] = {}
        self._mock_port = programs.free_port()
        self._mock = programs.mock(stand, self._mock_port)
        self._redis: Program | None = None
        for name, stream, model in ((n, s, m) for n in SIZES for s in (False, True) for m in (PINNED, AUTO)):
            self._body_file(name, stream, model).write_bytes(marked(SIZES[name], model, stream))
        self._first = marked(SIZES["2k"], PINNED, False)

    def start(self, target: str) -> Program:
        """Start a target and wait for its first answer. Raises: RuntimeError."""
        mock, port = self._mock_port, programs.free_port()
        options = {"log": self._options.log, "open_door": self._options.no_keys}
        if target == "nginx":
            program = programs.nginx(self._stand, port, mock)
        elif target == "redis":
            redis_port = programs.free_port()
            self._redis = programs.redis(self._stand, redis_port)
            program = programs.twospeed(self._stand, port, mock, redis_port=redis_port, **options)
        else:
            workers = 2 if target == "workers" else 1
            program = programs.twospeed(self._stand, port, mock, workers=workers, **options)
        try:
            program.await_answer(port, self._first)
        except RuntimeError:
            program.stop()
            raise
        self._ports[target], self._running[target] = port, program
        return program

    def stop(self, target: str) -> None:
        """Stop a target."""
        self._running.pop(target).stop()

    def close(self) -> None:
        """Stop everything."""
        for target in list(self._running):
            self.stop(target)
        for program in (self._redis, self._mock):
            if program is not None:
                program.stop()

    def measure(self, scenario: Scenario, target: str, half: float) -> dict[str, float]:
        """Load a target and return what load.c says."""
        program = self._program(target)
        before = program.main_threads() if program else (0.0, 0.0)
        arguments = scenario.load.format(half=half)
        with self._load(target, scenario.body, arguments, scenario.events, scenario.gap_us) as run:
            said, _ = run.communicate(timeout=60)
        result: dict[str, float] = json.loads(said.splitlines()[-1])
        if program:
            ran, waited = (now - then for now, then in zip(program.main_threads(), before, strict=True))
            result["waited"] = waited / max(ran + waited, 1e-9)
        for other in self._running.values():
            other.await_quiet()
        return result

    def fresh(self, target: str) -> Iterator[dict[str, object]]:
        """Start a target, look at it when it is idle, and again when it holds STREAMS streams."""
        program = self.start(target)
        time.sleep(SETTLED)
        idle_pss = program.memory("Pss")
        yield {"scenario": "start", "first_answer_s": program.first_answer, "rss_mib": program.memory("Rss") / 1024}
        with self._load(target, "2k-s", HOLD, 1_000, 1_000_000) as run:
            assert run.stdout is not None
            ready = run.stdout.readline().strip() == "ready"
            time.sleep(1.5)
            grown = program.memory("Pss") - idle_pss
            run.kill()
        self.stop(target)
        yield {"scenario": "memory", "kib_per_stream": grown / STREAMS, "bad": 0 if ready else STREAMS}

    def _load(self, target: str, body: str, arguments: str, events: int, gap_us: int) -> "subprocess.Popen[str]":
        programs.get(self._mock_port, f"/set/{events}/{gap_us}")
        program = self._program(target)
        name, _, streamed = body.partition("-")
        file = self._body_file(name, bool(streamed), AUTO if target == "auto" else PINNED)
        mode, *rest = arguments.split()
        port = self._ports[server_of(target)] if program else self._mock_port
        gauges = [word for pid in (program.pids if program else []) for word in ("-g", str(pid))]
        command = [programs.compiled("load"), mode, str(port), str(file), *rest, "-k", KEY, *gauges]
        stand = self._stand

        def settle_down() -> None:
            os.sched_setaffinity(0, {stand.load_core})
            if stand.rt:
                os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(programs.PRIORITY))

        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=settle_down)

    def _program(self, target: str) -> Program | None:
        return self._running.get(server_of(target))

    def _body_file(self, name: str, stream: bool, model: str) -> Path:
        return self._stand.folder / f"{name}-{model}{'-s' if stream else ''}.json"


def server_of(target: str) -> str:
    """Name the server of a target: `auto` is only another model name."""
    return "twospeed" if target == "auto" else target


def marked(size: int, model: str, stream: bool) -> bytes:
    """Return a body in which load.c writes another session and another request each time."""
    body = conversation(size - 20, seed=7)
    messages = body["messages"]
    messages[1]["content"] = "@session " + messages[1]["content"]
    messages[-1]["content"] += " @request"
    return msgspec.json.encode({"model": model, "stream": stream, **body})


def available() -> set[str]:
    """Return the targets that can be measured here; says what is missing."""
    parts = {"nginx": programs.nginx_path(), "redis": programs.redis_path(), "workers": programs.has_workers()}
    for name in (name for name, found in parts.items() if not found):
        print(f"without {name}: not found here", file=sys.stderr)
    return {"direct", "twospeed", "auto"} | {name for name, found in parts.items() if found}


def rounds(options: argparse.Namespace, field: Field) -> Iterator[Sample]:
    """Run everything, interleaved, and yield each sample."""
    here = available()
    chosen = [scenario for scenario in SCENARIOS if re.search(options.only, scenario.name)]
    needed = {server_of(target) for scenario in chosen for target in scenario.targets}
    for target in sorted(needed & here - {"direct"}):
        try:
            field.start(target)
        except RuntimeError as error:
            if target == "twospeed":
                raise
            print(f"without {target}: {error}", file=sys.stderr)
            here.discard(target)
    time.sleep(SETTLED if needed else 0)
    half = FORMER_HALF
    for number, scenario, target in turns(options.rounds, chosen, here):
        sample = field.measure(scenario, target, half)
        yield {"round": number, "scenario": scenario.name, "target": target, **sample}
        if (scenario.name, target) == ("cpu-2k", "twospeed"):
            half = round(sample["done"] / sample["seconds"] / 2)
    for target in sorted(needed & here - {"direct"}):
        field.stop(target)
    if re.search(options.only, "start memory"):
        for number, target in itertools.product(range(options.rounds), sorted(here & set(BOTH))):
            for sample in field.fresh(target):
                yield {"round": number, "target": target, **sample}


def turns(count: int, scenarios: Sequence[Scenario], here: set[str]) -> Iterator[tuple[int, Scenario, str]]:
    """Yield what to run when: scenario by scenario, its targets in another order each round."""
    for number, scenario in itertools.product(range(count), scenarios):
        targets = [target for target in scenario.targets if target in here]
        first = number % len(targets)
        for target in targets[first:] + targets[:first]:
            yield number, scenario, target


def facts(options: argparse.Namespace, rt: bool) -> dict[str, str]:
    """Say on what, how and when this was measured."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "command": "python benchmarks/overhead.py " + " ".join(sys.argv[1:]),
        "machine": f"{os.cpu_count()} x {cpu[1] if cpu else platform.machine()}, Linux {platform.release()}",
        "versions": f"CPython {platform.python_version()}, nginx {_version(programs.nginx_path(), '-v')}, "
        f"Redis {_version(programs.redis_path(), '--version')}",
        "commit": _said("git", "-C", str(HERE), "describe", "--always", "--dirty"),
        "cores": f"proxy {options.proxy_core}; mock, load and Redis {options.load_core}; two workers on both",
        "scheduler": "SCHED_RR" if rt else "as usual",
        "served": f"caller key {'off' if options.no_keys else 'checked'}, decode, plan over two providers, limits in "
        f"process (rpm, tpm, concurrency), breaker, metrics, traces at 1% to a collector, affinity over 1,000 sessions, "
        f"request log {options.log}",
        "load average before": f"{os.getloadavg()[0]:.2f}",
    }


def _version(path: str | None, option: str) -> str:
    found = re.search(r"\d+(\.\d+)+", _said(path, option)) if path else None
    return found[0] if found else "not here"


def _said(*command: str) -> str:
    with contextlib.suppress(OSError):
        done = subprocess.run(command, capture_output=True, text=True)
        return (done.stdout + done.stderr).strip() if done.returncode == 0 else "unknown"
    return "unknown"


def report(about: Mapping[str, str], samples: Samples, options: argparse.Namespace) -> str:
    """Return the whole of `overhead.md`."""
    lines = ["# Overhead", "", "Written by `benchmarks/overhead.py`; how it measures: [README.md](README.md).", ""]
    lines += [f"- {name}: {value}" for name, value in about.items()]
    lines += ["", f"Medians of {options.rounds} interleaved rounds, in brackets the least and the most.", ""]
    lines += [*bars_table(samples), "", "## All samples", "", *samples_table(samples), ""]
    return "\n".join(lines)


def in_real_time(wanted: bool) -> bool:
    """Put this process above those it measures; say whether that is allowed."""
    if not wanted:
        return False
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(programs.PRIORITY + 1))
    except PermissionError:
        print("no permission for SCHED_RR: going on without it", file=sys.stderr)
        return False
    return True


def parsed() -> argparse.Namespace:
    """Read the command line."""
    cores = sorted(os.sched_getaffinity(0))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", metavar="REGEX", default="", help="scenarios to run, by name")
    parser.add_argument("--rt", action="store_true", help="measured processes under SCHED_RR, where that is allowed")
    parser.add_argument("--proxy-core", type=int, default=cores[0])
    parser.add_argument("--load-core", type=int, default=cores[-1])
    parser.add_argument("--log", choices=("text", "json", "off"), default="text", help="twospeed's request log")
    parser.add_argument("--no-keys", action="store_true", help="twospeed checks no caller key")
    parser.add_argument("--json", metavar="FILE", default=str(BUILD / "overhead.jsonl"))
    parser.add_argument("--markdown", metavar="FILE", help="default: overhead.md, unless --only leaves scenarios out")
    parser.add_argument("--limit", metavar="SECONDS", type=float, default=480.0, help="end after so long; default: 480")
    return parser.parse_args()


def main() -> None:
    """Measure, and keep every sample at once, so that nothing is lost when it is stopped."""
    options = parsed()
    rt = in_real_time(options.rt)
    until = time.monotonic() + options.limit
    about = facts(options, rt)
    programs.compiled("load")
    samples: list[Sample] = []
    with tempfile.TemporaryDirectory(prefix="overhead-") as folder, Path(options.json).open("w") as lines:
        print(json.dumps(about), file=lines)
        field = Field(options, Stand(Path(folder), options.proxy_core, options.load_core, rt))
        try:
            for sample in rounds(options, field):
                samples.append(sample)
                print(json.dumps(sample), file=lines, flush=True)
                print(brief(sample), file=sys.stderr, flush=True)
                if time.monotonic() > until:
                    print("out of time: the last rounds are missing", file=sys.stderr)
                    break
        finally:
            field.close()
    text = report({**about, "load average after": f"{os.getloadavg()[0]:.2f}"}, Samples(samples), options)
    print(text)
    to = options.markdown or (None if options.only else HERE / "overhead.md")
    if to:
        Path(to).write_text(text)


if __name__ == "__main__":
    main()
