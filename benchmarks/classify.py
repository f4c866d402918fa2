"""Time one decision in process at several body sizes: wall p50 and p99, CPU, and how much of it each step takes.

    python benchmarks/classify.py [--rounds 300]

Bodies are made here: a question with files around it (chat), and an agent run with tool results (agent). `new`: each
body asks something else, about other code. `again`: the same body each time, as in a retry. `next`: one more step of
the same agent run each time, as in an agent loop. `CPU us` is the mean, `undisturbed` the mean of the cheapest RUN
decisions in a row, which holds still when the machine is shared: what others do in between costs caches. Decoding the body is not part of it; the dialect does that for
every request, whatever its tier. The steps are timed with new bodies and remember nothing but what tools say.
"""

import argparse
import gc
import json
import time
from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from twospeed.policy.classify import Classifier, Classify
from twospeed.policy.features import Measures, measure
from twospeed.policy.instruction import Ask, separate
from twospeed.policy.stage import Stage, stage
from twospeed.types import Conversation, Message

SIZES = (2_000, 30_000, 90_000, 200_000)
QUESTION = (
    "The importer drops the last row of a file when it has no line break at its end. Find out why, correct it in one "
    "place and keep the behaviour for files with Windows line ends. `read_rows` is called from three modules, so its "
    "signature has to stay.\n\n```python\ndef read_rows(stream):\n    rows = []\n    for line in stream:\n"
    "        if line.endswith('\\n'):\n            rows.append(line[:-1].split(','))\n    return rows\n```\n"
)
SOURCE = "def step_{n}(value, table):\n    total = value * {n} + len(table)\n    if total > 100:\n        table.append(total)\n    return table\n\n"
RUN = 16  # decisions in a row
CALL_BYTES = 3_000  # of an agent run: one call with its result


def source(size: int, first: int = 0) -> str:
    """Return about `size` characters of code."""
    return "".join(SOURCE.format(n=first + n) for n in range(size // 130 + 1))[:size]


def chat(size: int, number: int = 0) -> list[dict[str, object]]:
    """Return a question below a file; another number, another question."""
    body = f"src/steps.py\n```python\n{source(max(0, size - 900), number)}\n```\n\n" if size > 1_500 else ""
    asked = QUESTION.replace("read_rows", f"read_rows_{number}")
    return [{"role": "system", "content": "You are a coding assistant."}, {"role": "user", "content": body + asked}]


def agent(size: int, number: int = 0, since: int = 0) -> list[dict[str, object]]:
    """Return a run with a tool result for every three kilobytes, `since` calls further on."""
    messages: list[dict[str, object]] = [
        {"role": "user", "content": QUESTION.replace("read_rows", f"read_rows_{number}")}
    ]
    calls = max(1, (size - 900) // CALL_BYTES)
    for n in range(since, since + calls):
        command = f"pytest -k step_{number}_{n}" if n % 3 == 2 else f"sed -n {n},90p a{number}.py"
        call = {
            "id": f"c{n}",
            "type": "function",
            "function": {"name": "bash", "arguments": json.dumps({"command": command})},
        }
        messages.append({"role": "assistant", "content": "Let me look at it.", "tool_calls": [call]})
        result = source(min(CALL_BYTES - 300, size // 2), 1_000 * number + n)
        messages.append({"role": "tool", "tool_call_id": f"c{n}", "content": result})
    return messages


def conversation(messages: list[dict[str, object]]) -> Conversation:
    """Return the messages as a dialect hands them over: contents as views into the body."""
    body = json.dumps({"messages": messages}).encode()
    decoded = msgspec.json.decode(body, type=Envelope)
    return Conversation("/v1/chat/completions", decoded.messages, tools=["bash"], body_bytes=len(body))


class Envelope(msgspec.Struct):
    """The part of a body that is timed."""

    messages: list[Message]


Body = Callable[[int], Conversation]  # from the number of the round


def spent(step: Callable[[Conversation], object], body: Body, rounds: int) -> tuple[float, float, float, float]:
    """Return p50 and p99 of wall time, mean and undisturbed CPU time of a step, in us; making bodies is not timed."""
    walls, cpu = [], []
    for number in range(-20, rounds):
        asked = body(number)
        started, at = time.thread_time_ns(), time.perf_counter_ns()
        step(asked)
        wall, took = time.perf_counter_ns() - at, time.thread_time_ns() - started
        if number >= 0:
            walls.append(wall / 1e3)
            cpu.append(took / 1e3)
    calm = np.convolve(cpu, np.ones(RUN) / RUN, mode="valid").min()
    return float(np.percentile(walls, 50)), float(np.percentile(walls, 99)), float(np.mean(cpu)), float(calm)


def steps(body: Body, classifier: Classifier, rounds: int) -> str:
    """Return the mean CPU of separating, placing, measuring and scoring."""
    separated = [(separate(body(n)), stage(body(n))) for n in range(rounds + 20)]
    measured = [measure(ask, facts) for ask, facts in separated]
    score = classifier.learned.score

    def of(values: Sequence[object], step: Callable[..., object]) -> float:
        numbers = iter(values)
        return spent(lambda _: step(next(numbers)), lambda _: NO_BODY, rounds)[2]

    def measured_from(pair: tuple[Ask, Stage]) -> Measures:
        return measure(*pair)

    parts = [spent(separate, body, rounds)[2], spent(stage, body, rounds)[2], of(separated, measured_from)]
    return " ".join(f"{part:7.1f}" for part in [*parts, of(measured, score)])


NO_BODY = Conversation("")


def cases(size: int) -> dict[str, Body]:
    """Return the kinds of body of one size."""
    same_chat, same_agent = conversation(chat(size)), conversation(agent(size))
    own = size + 100  # where its numbers begin: no two kinds of body ask the same
    return {
        "chat new": lambda number: conversation(chat(size, own + number)),
        "chat again": lambda _: same_chat,
        "agent new": lambda number: conversation(agent(size, 10 * own + number)),
        "agent next": lambda number: conversation(agent(size, since=own + number)),
        "agent again": lambda _: same_agent,
    }


def main() -> None:
    """Print one line for each kind and size of body."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=300)
    rounds = arguments.parse_args().rounds
    at = time.perf_counter()
    classifier = Classifier(Classify())
    print(f"weights loaded in {(time.perf_counter() - at) * 1e3:.1f} ms")
    gc.freeze()
    print(
        f"{'body':>18s} {'p50 us':>8s} {'p99 us':>8s} {'CPU us':>8s} {'undisturbed':>11s} | CPU us of separate, stage, measure, score"
    )
    for size in SIZES:
        for kind, body in cases(size).items():
            p50, p99, cpu, calm = spent(classifier.classify, body, rounds)
            parts = steps(body, classifier, rounds) if kind.endswith("new") else ""
            print(
                f"{kind:>11s} {size / 1000:4.0f} KB {p50:8.1f} {p99:8.1f} {cpu:8.1f} {calm:11.1f} | {parts}", flush=True
            )


if __name__ == "__main__":
    main()
