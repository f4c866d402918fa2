"""What routing costs and what it is worth over whole sessions, at list prices, with the prompt caches it keeps or loses.

    python benchmarks/cost.py --data DIR [--sessions 400] [--seed 1]

Sessions are put together from the labelled requests of DIR (dev*.jsonl.gz): a few tasks after each other, each worked
on in a loop of calls with tool results, every call carrying the whole conversation. Each call is judged by the shipped
classifier from its own messages and, with cache pricing, weighed by the shipped rules (`policy/switching.py`).

Quality is the mean, over all calls, of the pass rate that the pool of the tier used has on the task. Money is input,
cached input, cache writes and output by the prices in `data/providers.json`. A tier's cache holds what it was sent last,
until its provider's window has passed. Deterministic for a seed.
"""

import argparse
import gzip
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from twospeed.policy.classify import Classifier, Classify, Target
from twospeed.policy.money import cost
from twospeed.policy.plan import Lane
from twospeed.policy.rank.ordered import Rank
from twospeed.policy.switching import Sessions, Switching
from twospeed.presets import presets
from twospeed.stores.memory import MemoryAffinity
from twospeed.types import TIERS, Attempt, Backend, Conversation, Message, Record, Timeouts, Usage, Verdict
from twospeed.upstream import Price

PAIRS = {
    "haiku 4.5 / opus 4.6": ("anthropic/claude-haiku-4-5", "anthropic/claude-opus-4-6"),
    "gpt-5.4-mini / gpt-5.4": ("openai/gpt-5.4-mini", "openai/gpt-5.4"),
}
SYSTEM_TOKENS = 14_000  # system prompt and tools of a terminal agent
LINES = (0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75)
FINE = [number / 50 for number in range(1, 45)]  # lines tried with cache pricing
WORTH, MOST = 0.3, 2.0  # the defaults of `sessions`
ANSWERED = msgspec.Raw(b'"I looked at it."')


@dataclass
class Task:
    """One labelled request. `passes`: pass rate of the pool of each tier."""

    messages: list[Message]
    tokens: int
    passes: dict[str, float]


@dataclass
class Call:
    """One call of a session: what was judged, its size, when it comes, and how well each tier does."""

    verdict: Verdict
    tokens: int
    output: int
    at: float
    passes: dict[str, float]


@dataclass
class Outcome:
    """What became of all sessions under one policy."""

    dollars: float = 0.0
    passed: float = 0.0
    calls: int = 0
    deep: int = 0
    switches: int = 0
    spent: list[float] = field(default_factory=list)


def tasks(folder: Path) -> list[Task]:
    """Read the natural form of each item whose pass rates, or at least label, are known."""
    found = []
    for file in sorted(folder.glob("dev*.jsonl.gz")):
        rows = map(json.loads, gzip.decompress(file.read_bytes()).splitlines())
        for row in (row for row in rows if row["format"] == "natural" and "messages" in row["request"]["body"]):
            passes = _passes(row)
            if passes:
                found.append(_task(row["request"]["body"], passes))
    return found


def _passes(row: dict[str, Any]) -> dict[str, float] | None:
    small, large = row.get("small_pass_rate"), row.get("large_pass_rate")
    if small is not None and large is not None:
        return {"fast": small, "deep": large}
    return None if row.get("ambiguous") else {"fast": float(row["label"] == "fast"), "deep": 1.0}


def _task(body: dict[str, Any], passes: dict[str, float]) -> Task:
    messages = [msgspec.json.decode(msgspec.json.encode(one), type=Message) for one in body["messages"]]
    return Task(messages, len(json.dumps(body["messages"])) // 4, passes)


def sessions(pool: Sequence[Task], count: int, seed: int, classifier: Classifier) -> list[list[Call]]:
    """Put sessions together: two to eight tasks, each a loop of one to eight calls, pauses between tasks."""
    chance = random.Random(seed)
    return [list(_session(pool, chance, classifier)) for _ in range(count)]


def _session(pool: Sequence[Task], chance: random.Random, classifier: Classifier) -> Iterator[Call]:
    now, history = 0.0, SYSTEM_TOKENS + chance.randrange(0, 20_000)
    for task in chance.choices(pool, k=chance.randrange(2, 9)):
        now += chance.lognormvariate(4.5, 1.0)  # half within a minute and a half, one in nine beyond five minutes
        history += task.tokens
        messages = list(task.messages)
        for step in range(chance.randrange(1, 9)):
            output = chance.randrange(80, 900)
            verdict = classifier.classify(Conversation("/v1/chat/completions", messages, body_bytes=4 * task.tokens))
            yield Call(verdict, history, output, now, task.passes)
            seen = chance.randrange(200, 4_000)
            history += output + seen
            now += 3.0 + output / 60
            result = msgspec.Raw(msgspec.json.encode("line of a file\n" * (seen // 4)))
            messages += [Message("assistant", ANSWERED, _called(step)), Message("tool", result, tool_call_id="c")]


def _called(step: int) -> msgspec.Raw:
    """A tool call as agents make them: one file after the other, and now and then an edit."""
    name, arguments = ("edit_file" if step % 3 == 2 else "read_file"), json.dumps({"path": f"src/part_{step}.py"})
    return msgspec.Raw(
        msgspec.json.encode([{"id": "c", "type": "function", "function": {"name": name, "arguments": arguments}}])
    )


class Caches:
    """What each tier's provider holds of one session."""

    def __init__(self, backends: dict[str, Backend]) -> None:
        self._backends = backends
        self._held = dict.fromkeys(TIERS, (0, -1e9))

    def serve(self, tier: str, call: Call) -> Usage:
        """Read the call, from the cache as far as it goes, and keep it there."""
        held, at = self._held[tier]
        backend = self._backends[tier]
        cached = held if call.at - at < backend.cache_window else 0
        self._held[tier] = (call.tokens, call.at)
        price = backend.price
        written = call.tokens - cached if price and price.cache_write > price.input else 0
        return Usage(call.tokens, call.output, cached, cache_write_tokens=written)


def run(
    calls: Sequence[Sequence[Call]], backends: dict[str, Backend], line: float, worth: float | None, tier: str = ""
) -> Outcome:
    """Play all sessions. `tier`: always that one; `worth`: with cache pricing, None without."""
    outcome = Outcome()
    for session in calls:
        _play(session, backends, line, worth, tier, outcome)
    return outcome


def _play(
    session: Sequence[Call], backends: dict[str, Backend], line: float, worth: float | None, tier: str, outcome: Outcome
) -> None:
    now = [0.0]
    timeouts = Timeouts(1.0, 1.0, 1.0, 1.0)
    lanes = {name: Lane((backends[name],), timeouts, Rank()) for name in TIERS}
    affinity = MemoryAffinity(lambda: now[0], 1e9, 10)
    named = {backend.name: backend for backend in backends.values()}
    switching = Switching(Sessions(switch_worth=worth or 0.0, max_switch_spend=MOST), lanes, named, affinity)
    caches, before, spent = Caches(backends), "", 0.0
    for call in session:
        now[0] = call.at
        verdict = _verdict(call.verdict, line)
        if worth is not None:
            verdict = switching.weigh(verdict, line, "t", now[0])
        used = tier or verdict.tier
        usage = caches.serve(used, call)
        price = backends[used].price
        assert price is not None
        outcome.dollars += cost(usage, price)
        outcome.passed += call.passes[used]
        outcome.calls += 1
        outcome.deep += used == "deep"
        outcome.switches += bool(before) and used != before
        before = used
        if worth is not None:
            record = Record("r", now[0], 0.0, "/", tier=used, reasons=verdict.reasons, usage=usage, thread="t")
            record.attempts, record.weighed = [Attempt(backends[used], now[0])], verdict.weighed
            switching.served(record)
            spent = max(spent, verdict.weighed.spent if verdict.weighed else 0.0)
    outcome.spent.append(spent)


def _verdict(verdict: Verdict, line: float) -> Verdict:
    """Draw the line elsewhere; what a mark of the request decides stays decided."""
    if verdict.score is None or not verdict.reasons[0].startswith("score:"):
        return verdict
    deep = verdict.score >= line
    return Verdict("deep" if deep else "fast", ("score:high" if deep else "score:low",), verdict.score, verdict.gain)


def backends_of(names: tuple[str, str]) -> dict[str, Backend]:
    """Return the backend of each tier, with its price and cache window from the catalogue."""
    found = {}
    for tier, name in zip(TIERS, names, strict=True):
        provider, model = name.split("/", 1)
        price = Price.model_validate(presets()[provider]["models"][model]["price"]).resolved()
        found[tier] = Backend(provider, model, "default", f"{name}@default", price=price)
    return found


def row(name: str, outcome: Outcome) -> str:
    """One line of the table."""
    quality, share = outcome.passed / outcome.calls, outcome.deep / outcome.calls
    dollars = outcome.dollars / len(outcome.spent)
    return f"| {name} | {share:.0%} | {outcome.switches} | ${dollars:.3f} | {quality:.3f} | ${max(outcome.spent):.2f} |"


def main() -> None:
    """Print a table for each pair of models."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of dev*.jsonl.gz")
    parser.add_argument("--sessions", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--worth", type=float, default=WORTH)
    args = parser.parse_args()
    classifier = Classifier(Classify(target=Target()))
    calls = sessions(tasks(args.data), args.sessions, args.seed, classifier)
    total = sum(map(len, calls))
    print(f"{len(calls)} sessions, {total} calls, {sum(c.tokens for s in calls for c in s) / total:,.0f} tokens each\n")
    for pair, names in PAIRS.items():
        backends = backends_of(names)
        print(f"{pair}\n\n| policy | deep | changes of tier | per session | quality | most spent on changes |")
        print("|---|---|---|---|---|---|")
        for tier in TIERS:
            print(row(f"always {tier}", run(calls, backends, 0.5, None, tier)))
        priced = {line: run(calls, backends, line, args.worth) for line in FINE}
        lines = [_compared(line, run(calls, backends, line, None), priced) for line in LINES]
        print(f"\ncheaper at the same quality: {sum(lines)} of {len(lines)} lines\n")


def _compared(line: float, alone: Outcome, priced: dict[float, Outcome]) -> bool:
    """Print the score alone, and the cheapest line that is as good once caches are priced; say whether it is cheaper."""
    print(row(f"score from {line:g}", alone))
    as_good = [(one.dollars, drawn) for drawn, one in priced.items() if one.passed >= alone.passed]
    if not as_good:
        return False
    dollars, drawn = min(as_good)
    saved = 1 - dollars / alone.dollars
    print(row(f"as good with caches priced: from {drawn:g}, {saved:.0%} cheaper", priced[drawn]))
    return dollars < alone.dollars


if __name__ == "__main__":
    main()
