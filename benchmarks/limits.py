"""Do limits hold when several processes keep them together? What reaches the provider, counted there (R19, R20).

    python benchmarks/limits.py [--seconds 121] [--only redis|workers|killed|dead|worker|dropped]

redis: three servers on one Redis, each limit asked for 2 to 3 times over. workers: one server with two workers, no Redis.
killed: one of three servers is killed (-9) half way. dead: until what a killed one held is free again. worker: of two workers one is killed again and again under load.
dropped: streams whose clients leave, until their reservations are free again. Takes about three times --seconds; a limit
comes free again in half seconds, so two rounds of it take 121 s, and less than that says little.
"""

import asyncio
import os
import random
import signal
import time
from collections import deque

import staging
from staging import (
    WINDOW,
    Answer,
    Arrival,
    Figure,
    Server,
    Stage,
    at_once,
    busy_share,
    fullest,
    machine,
    publish,
    statuses,
    table,
)

RPM, TPM, SLOTS = 1_200, 240_000, 20
MOST_OUT, REAL_OUT = 1_000, 100  # max_tokens asked for, and what an answer really has
READ = 120  # tokens that a request of about 480 bytes reports

CONFIG = """
listen: {{port: 0}}
admin: {{port: 0}}
{stores}
providers:
  requests: {{kind: openai, base_url: "{url}", forward_headers: [x-bench], models: {{requests: {{}}}}, limits: {{requests: {{rpm: {rpm}}}}}}}
  tokens: {{kind: openai, base_url: "{url}", forward_headers: [x-bench], models: {{tokens: {{}}}}, limits: {{tokens: {{tpm: {tpm}}}}}}}
  slots: {{kind: openai, base_url: "{url}", forward_headers: [x-bench], models: {{slots: {{}}}}, limits: {{slots: {{concurrency: {slots}}}}}}}
models: {{requests: requests/requests, tokens: tokens/tokens, slots: slots/slots}}
tiers: {{fast: {{models: [requests/requests]}}, deep: {{models: [tokens/tokens, slots/slots]}}}}
"""
FIGURES: list[Figure] = []
ROWS = [
    ("case", "limit", "worst 60 s", "over", "used of what was allowed", "unused", "a provider would refuse", "answers")
]


def config(url: str, stores: str = "", *, rpm: int = RPM, tpm: int = TPM, slots: int = SLOTS) -> str:
    """Write a configuration with one provider per kind of limit."""
    return CONFIG.format(url=url, stores=stores, rpm=rpm, tpm=tpm, slots=slots)


def token_order() -> str:
    """Order an answer of about REAL_OUT tokens that takes half a second."""
    return f"{READ},{random.randint(REAL_OUT // 2, REAL_OUT * 3 // 2)},{random.uniform(0.2, 0.8):.2f}"


async def saturate(stage: Stage, servers: list[Server], seconds: float) -> tuple[float, list[list[Answer]]]:
    """Ask for all three limits at once, several times over; return when it began and the answers."""
    began = time.monotonic()
    until = began + seconds
    answers = await asyncio.gather(
        stage.crowd(servers, "requests", 3 * RPM / 60, until, lambda: "10,10,0.01"),
        stage.crowd(servers, "tokens", 3 * TPM / 60 / (READ + REAL_OUT), until, token_order, max_tokens=MOST_OUT),
        stage.crowd(servers, "slots", 80, until, lambda: f"10,10,{random.uniform(0.2, 0.8):.2f}"),
    )
    return began, list(answers)


def judge(name: str, arrivals: list[Arrival], began: float, seconds: float, answers: list[list[Answer]]) -> None:
    """Add the rows of one case. What was allowed: the limit per 60 s, and for slots every second of each."""
    of = {model: [one for one in arrivals if one.model == model] for model in ("requests", "tokens", "slots")}
    for (model, limit, weight, over, unused), heard in zip(
        (("requests", RPM, lambda one: 1, 0.02, 0.05), ("tokens", TPM, lambda one: one.tokens, 0.05, 0.15)),
        answers,
        strict=False,
    ):
        events = [(one.at, weight(one)) for one in of[model]]
        worst, used = fullest(events), sum(weight for at, weight in events if at < began + seconds)
        share = used / (limit * seconds / 60)
        refused = beyond(events, limit)
        _row(f"{name}: {model}", limit, worst, share, statuses(heard), refused)
        _figures(model, name, worst / limit - 1, 1 - share, over, unused, refused / len(events))
    used_share = busy_share(of["slots"], SLOTS, began + 2, began + seconds)
    _row(f"{name}: at once", SLOTS, at_once(of["slots"]), used_share, statuses(answers[2]))


def beyond(events: list[tuple[float, int]], limit: int) -> int:
    """Return how many requests a provider with the same limit, kept over the last 60 s of arrivals, would refuse (R23)."""
    window: deque[tuple[float, int]] = deque()
    used = refused = 0
    for at, weight in events:
        while window and window[0][0] <= at - WINDOW:
            used -= window.popleft()[1]
        if used + weight > limit:
            refused += 1
            continue
        window.append((at, weight))
        used += weight
    return refused


def _figures(
    model: str, name: str, over: float, unused: float, most_over: float, most_unused: float, refused: float
) -> None:
    what = "RPM" if model == "requests" else "TPM"
    bar = f"overshoot <= {most_over:.0%} in any 60 s, unused <= {most_unused:.0%}"
    said = f"{max(0.0, over):.1%} over, {max(0.0, unused):.1%} unused"
    FIGURES.append(Figure(f"{what}, {name}", bar, said, over <= most_over and unused <= most_unused))
    said = f"{refused:.2%} of the requests that were let through"
    FIGURES.append(
        Figure(f"429s of a provider whose limit equals ours: {what}, {name}", "<= 1%", said, refused <= 0.01)
    )


def _row(case: str, limit: int, worst: int, used: float, heard: str, refused: int = 0) -> None:
    over = max(0.0, worst / limit - 1)
    unused = max(0.0, 1 - used)
    row = (case, f"{limit:,}", f"{worst:,}", f"{over:.1%}", f"{used:.1%}", f"{unused:.1%}", f"{refused}", heard)
    ROWS.append(row)


async def redis(seconds: float) -> None:
    """Three servers on one Redis."""
    async with Stage() as stage:
        redis = stage.redis()
        redis.start()
        text = config(await stage.provider(), f"stores: {{redis: {{url: '{redis.url}'}}}}")
        servers = [await stage.server(text) for _ in range(3)]
        began, answers = await saturate(stage, servers, seconds)
        judge(f"3 servers, Redis ({await alone(stage, servers)})", stage.arrivals(), began, seconds, answers)


async def alone(stage: Stage, servers: list[Server]) -> str:
    """Say how many admissions were decided without Redis, since a call took longer than 50 ms."""
    count = 0.0
    for server in servers:
        async with stage.http.get(f"{server.admin}/metrics") as answer:
            lines = (await answer.text()).splitlines()
        count += sum(float(line.split()[-1]) for line in lines if line.startswith("twospeed_store_alone_total"))
    return f"{count:.0f} decided alone"


async def workers(seconds: float) -> None:
    """One server with two workers and no Redis."""
    async with Stage() as stage:
        server = await stage.server(config(await stage.provider()), "--workers", "2")
        began, answers = await saturate(stage, [server], seconds)
        judge("2 workers", stage.arrivals(), began, seconds, answers)


async def killed(seconds: float) -> None:
    """Three servers on one Redis, one of them killed half way; the crowd goes on with the other two."""
    async with Stage() as stage:
        redis = stage.redis()
        redis.start()
        text = config(await stage.provider(), f"stores: {{redis: {{url: '{redis.url}'}}}}")
        servers = [await stage.server(text) for _ in range(3)]
        asking = asyncio.create_task(saturate(stage, servers, seconds))
        await asyncio.sleep(seconds / 2)
        dead = servers.pop()  # the crowd goes on with those in the list
        before = len(stage.arrivals())
        dead.process.send_signal(signal.SIGKILL)
        began, answers = await asking
        lost = [one for heard in answers for one in heard if one.status not in (200, 429)]
        others = sum(one.server != dead.url for one in lost)
        said = f"{others} errors on the other two, {len(lost)} requests lost with the dead one"
        FIGURES.append(Figure("kill -9 of 1 of 3 replicas: errors elsewhere", "0", said, not others))
        judge(
            f"1 of 3 killed after {before:,} requests ({await alone(stage, servers)})",
            stage.arrivals(),
            began,
            seconds,
            answers,
        )


async def dead() -> None:
    """A server that holds all slots and most tokens is killed; how long until another one has them?"""
    async with Stage() as stage:
        redis = stage.redis()
        redis.start()
        text = config(await stage.provider(), f"stores: {{redis: {{url: '{redis.url}'}}}}", slots=10, tpm=11_300)
        victim, other = [await stage.server(text) for _ in range(2)]
        for model in ("slots", "tokens"):
            more = {"stream": True, "max_tokens": MOST_OUT}
            for _ in range(10):
                stage.own(asyncio.create_task(stage.ask(victim, model, f"{READ},{REAL_OUT},300,quiet", **more)))
        await asyncio.sleep(2)
        victim.process.send_signal(signal.SIGKILL)
        began = time.monotonic()
        back: dict[str, float] = {}
        while len(back) < 2 and time.monotonic() < began + 310:
            for model in ("slots", "tokens"):
                answer = await stage.ask(other, model, "10,10,0", max_tokens=MOST_OUT)
                if model not in back and answer.status == 200:
                    back[model] = time.monotonic() - began
            await asyncio.sleep(0.25)
    said = ", ".join(f"{model} after {back.get(model, float('inf')):.0f} s" for model in ("slots", "tokens"))
    met = len(back) == 2
    FIGURES.append(Figure("Reservations of a dead replica", "free again within 5 min", said, met))
    ROWS.append(("1 of 2 killed while it held everything", "", "", "", "", "", "", f"free again: {said}"))


async def worker(kills: int = 5) -> None:
    """Two workers, of which the first is killed every few seconds."""
    async with Stage() as stage:
        server = await stage.server(config(await stage.provider(), rpm=1_000_000), "--workers", "2")
        asking = asyncio.create_task(
            stage.crowd([server], "requests", 200, time.monotonic() + 4 * (kills + 1), lambda: "10,10,0.02")
        )
        for _ in range(kills):
            await asyncio.sleep(4)
            async with stage.http.get(f"{server.admin}/admin/status") as answer:
                os.kill((await answer.json())["workers"][0]["pid"], signal.SIGKILL)
        answers = await asking
    ROWS.append(
        (f"1 of 2 workers killed {kills} times, 200 requests a second", "", "", "", "", "", "", statuses(answers))
    )


async def dropped(count: int = 50) -> None:
    """Streams that fill a limit of tokens, or all slots; then all clients leave."""
    for model, limits in (("tokens", {"tpm": count * (MOST_OUT + READ)}), ("slots", {"slots": count})):
        for name, shared in (("Redis", True), ("2 workers", False)):
            async with Stage() as stage:
                redis = stage.redis()
                redis.start()
                stores = f"stores: {{redis: {{url: '{redis.url}'}}}}" if shared else ""
                options = () if shared else ("--workers", "2")
                server = await stage.server(config(await stage.provider(), stores, **limits), *options)
                took = await _back(stage, server, model, count)
                ROWS.append((f"dropped streams, {name}: {model}", str(count), "", "", "", "", "", took))


async def _back(stage: Stage, server: Server, model: str, count: int) -> str:
    """Open streams until one is refused, drop them, and say when as many fit again."""
    body = {
        "model": model,
        "stream": True,
        "max_tokens": MOST_OUT,
        "messages": [{"role": "user", "content": "x" * 400}],
    }
    headers = {"x-bench": f"{READ},{REAL_OUT},60"}

    async def opened() -> list:
        streams = []
        while (
            answer := await stage.http.post(f"{server.url}/chat/completions", json=body, headers=headers)
        ).status == 200:
            await answer.content.readany()
            streams.append(answer)
        answer.release()
        return streams

    first = await opened()
    began = time.monotonic()
    for stream in first:
        stream.close()
    again: list = []
    while len(again) < len(first) * 0.85 and time.monotonic() < began + 10:
        again += await opened()
        took = time.monotonic() - began
    for stream in again:
        stream.close()
    return f"{len(first)} open, {len(again)} fit again after {took * 1000:.0f} ms, opening them included"


async def main() -> None:
    """Run what was asked for and print a table."""
    parser = staging.options(__doc__)
    parser.add_argument("--seconds", type=float, default=121.0)
    parser.add_argument("--only", choices=("redis", "workers", "killed", "dead", "worker", "dropped"))
    parser.add_argument("--write", action="store_true", help="write the figures into fleet.md")
    options = parser.parse_args()
    about = machine(options.rt)
    print(about, flush=True)
    for name, case in (("redis", redis), ("workers", workers), ("killed", killed)):
        if options.only in (None, name):
            await case(options.seconds)
    for name, short in (("dead", dead), ("worker", worker)):
        if options.only in (None, name):
            await short()
    if options.only in (None, "dropped"):
        await dropped()
    lines = [about, "", *table(ROWS)]
    print("\n".join(lines[1:]))
    if options.write:
        publish("limits.py", lines)


if __name__ == "__main__":
    random.seed(1)
    asyncio.run(main())
