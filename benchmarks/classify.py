"""Time one decision in process at several body sizes: wall p50 and p99, mean CPU, and how much of it each step takes.

    python benchmarks/classify.py [--rounds 300]

Bodies are made here: a question with files around it (chat), and an agent run with tool results (agent). Decoding the
body is not part of it; the dialect does that for every request, whatever its tier.
"""

import argparse
import gc
import json
import time
from collections.abc import Callable

import msgspec
import numpy as np

from twospeed.policy.classify import Classifier, Classify
from twospeed.policy.features import measure
from twospeed.policy.instruction import separate
from twospeed.policy.stage import stage
from twospeed.types import Conversation, Message

SIZES = (2_000, 30_000, 90_000, 200_000)
QUESTION = (
    "The importer drops the last row of a file when it has no line break at its end. Find out why, correct it in one "
    "place and keep the behaviour for files with Windows line ends. `read_rows` is called from three modules, so its "
    "signature has to stay.\n\n```python\ndef read_rows(stream):\n    rows = []\n    for line in stream:\n"
    "        if line.endswith('\\n'):\n            rows.append(line[:-1].split(','))\n    return rows\n```\n"
)
SOURCE = "def step_{n}(value, table):\n    total = value * {n} + len(table)\n    if total > 100:\n        table.append(total)\n    return table\n\n"


def source(size: int) -> str:
    """Return about `size` characters of code."""
    return "".join(SOURCE.format(n=n) for n in range(size // 130 + 1))[:size]


def chat(size: int) -> list[dict[str, object]]:
    """Return a question below a file."""
    body = f"src/steps.py\n```python\n{source(max(0, size - 900))}\n```\n\n" if size > 1_500 else ""
    return [{"role": "system", "content": "You are a coding assistant."}, {"role": "user", "content": body + QUESTION}]


def agent(size: int) -> list[dict[str, object]]:
    """Return a run with a tool result for every three kilobytes."""
    messages: list[dict[str, object]] = [{"role": "user", "content": QUESTION}]
    for n in range(max(1, (size - 900) // 3_000)):
        call = {
            "id": f"c{n}",
            "type": "function",
            "function": {"name": "bash", "arguments": json.dumps({"command": f"sed -n {n},90p a.py"})},
        }
        messages.append({"role": "assistant", "content": "Let me look at it.", "tool_calls": [call]})
        messages.append({"role": "tool", "tool_call_id": f"c{n}", "content": source(min(2_700, size // 2))})
    return messages


def conversation(messages: list[dict[str, object]]) -> Conversation:
    """Return the messages as a dialect hands them over: contents as views into the body."""
    body = json.dumps({"messages": messages}).encode()
    decoded = msgspec.json.decode(body, type=Envelope)
    return Conversation("/v1/chat/completions", decoded.messages, tools=["bash"], body_bytes=len(body))


class Envelope(msgspec.Struct):
    """The part of a body that is timed."""

    messages: list[Message]


def spent(step: Callable[[], object], rounds: int) -> tuple[float, float, float]:
    """Return p50 and p99 of wall time and mean CPU time of a step, microseconds."""
    for _ in range(20):
        step()
    walls, started = [], time.process_time()
    for _ in range(rounds):
        at = time.perf_counter()
        step()
        walls.append(time.perf_counter() - at)
    cpu = (time.process_time() - started) / rounds
    return float(np.percentile(walls, 50)) * 1e6, float(np.percentile(walls, 99)) * 1e6, cpu * 1e6


def main() -> None:
    """Print one line for each kind and size of body."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=300)
    rounds = arguments.parse_args().rounds
    at = time.perf_counter()
    classifier = Classifier(Classify())
    print(f"weights loaded in {(time.perf_counter() - at) * 1e3:.1f} ms")
    gc.freeze()
    print(f"{'body':>14s} {'p50 us':>8s} {'p99 us':>8s} {'CPU us':>8s} | CPU us of separate, stage, measure, score")
    for kind in (chat, agent):
        for size in SIZES:
            asked = conversation(kind(size))
            p50, p99, cpu = spent(lambda asked=asked: classifier.classify(asked), rounds)
            ask, facts = separate(asked), stage(asked)
            measures = measure(ask, facts)
            steps: tuple[Callable[[], object], ...] = (
                lambda asked=asked: separate(asked),
                lambda asked=asked: stage(asked),
                lambda ask=ask, facts=facts: measure(ask, facts),
                lambda measures=measures: classifier.learned.score(measures),
            )
            parts = " ".join(f"{spent(step, rounds)[2]:7.1f}" for step in steps)
            print(f"{kind.__name__:>5s} {asked.body_bytes / 1000:5.0f} KB {p50:8.1f} {p99:8.1f} {cpu:8.1f} | {parts}")


if __name__ == "__main__":
    main()
