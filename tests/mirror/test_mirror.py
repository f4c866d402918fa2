"""Copies of requests: after the client, at nobody's cost, compared pair by pair, and never seen by anyone."""

import asyncio
import json
import re
from contextlib import suppress

import pytest
from tests.mirror.shadowing import CONFIG, shadowing
from tests.serving import serving

from twospeed.policy.rollout import Phase
from twospeed.types import Record


async def test_a_copy_goes_out_and_is_compared():
    """The candidate answers the same request; the pair holds durations, tokens and likeness, and no text."""
    async with shadowing() as server:
        answer = await server.chat("fix src/app.py", model="coder")
        assert answer.status == 200
        await server.settled(1)
        pair = server.pairs[0]
        assert pair.rollout == "r"
        assert pair.stable.ok
        assert pair.candidate.ok
        assert pair.stable.latency > 0
        assert pair.candidate.latency > 0
        assert pair.stable.finish == pair.candidate.finish == "stop"
        assert pair.candidate.output_tokens > 0
        assert 0.0 <= pair.similarity <= 1.0
        assert pair.language == "python"
        assert "fix" not in repr(pair)
        assert server.books.sent == {"r": 1}


async def test_a_stream_is_compared_too():
    """First tokens of both versions are known then."""
    async with shadowing() as server:
        async with await server.chat(model="coder", stream=True) as answer:
            await answer.read()
        await server.settled(1)
        assert server.pairs[0].stream
        assert server.pairs[0].stable.first_token > 0
        assert server.pairs[0].candidate.first_token > 0


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/messages", {"model": "coder", "max_tokens": 50, "messages": [{"role": "user", "content": "hi"}]}),
        ("/v1/responses", {"model": "coder", "store": False, "input": "hi"}),
        ("/v1/completions", {"model": "coder", "prompt": "def add(a, b):"}),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_every_dialect_is_copied(path, body, stream):
    """What the client speaks makes no difference."""
    async with shadowing() as server:
        async with server.http.post(server.url + path, json={**body, "stream": stream}) as answer:
            assert answer.status == 200
            await answer.read()
        await server.settled(1)
        assert server.pairs[0].candidate.ok
        assert server.pairs[0].similarity is not None


async def test_the_copy_begins_after_the_last_byte():
    """While the client's stream runs the candidate hears nothing; when it has ended, it does."""
    async with shadowing() as server:
        pieces = 0
        headers = {"x-twospeed-simulate": "speed:100@old, tokens:30@old"}
        async with await server.chat(model="coder", stream=True, headers=headers) as answer:
            async for _ in answer.content:
                pieces += 1
                assert server.candidate.served == 0
        assert pieces > 20
        await server.settled(1)
        assert server.candidate.served == 1


ENDINGS = {
    "hangs": "hang",
    "stalls": "stall:3",
    "fails": "http_500",
    "refuses the connection": "refuse",
    "resets": "reset:0",
    "breaks off": "reset:3",
    "is limited": "http_429",
    "talks rubbish": "malformed",
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("order", ENDINGS.values(), ids=ENDINGS)
async def test_a_bad_candidate_changes_nothing_for_clients(order, stream):
    """Whatever it does: the same answer, one record without a fault, no limit, breaker or attempt touched."""
    async with shadowing() as server:
        headers = {"x-twospeed-simulate": f"{order}@new"}
        async with await server.chat(model="coder", stream=stream, headers=headers) as answer:
            assert answer.status == 200
            body = await answer.read()
        assert b'"error":' not in body
        await server.settled(1)
        (record,) = server.records
        assert record.fault is None
        assert [attempt.backend.name for attempt in record.attempts] == ["old/m@default"]
        memory = server.server.api.runtime.memory
        assert {level.pool: level.used for level in memory.limits.usage() if level.dimension == "rpm"} == {
            "old/m": 1,
            "shadow": 1,
        }
        assert "new/m@default" not in memory.health.states()
        assert server.transport("new").served == 0
        assert server.books.held == 0
        assert server.books.under_way == 0
        assert server.candidate.open_exchanges == 0


@pytest.mark.parametrize("stream", [False, True])
async def test_an_endless_candidate_is_cut(stream):
    """100 MB of nothing are not read to their end, nor is one event of them; the client has long been served."""
    sent = 0

    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        kind = b"text/event-stream" if stream else b"application/json"
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: 100000000\r\n\r\n" % kind)
        with suppress(ConnectionError):
            for _ in range(100):
                writer.write(b"x" * 1_000_000)
                await writer.drain()
                sent += 1_000_000
        writer.close()

    babbler = await asyncio.start_server(babble, "127.0.0.1", 0)
    port = babbler.sockets[0].getsockname()[1]
    text = re.sub(
        r"new: .*",
        f"new: {{kind: openai, base_url: http://127.0.0.1:{port}/v1, proxy: none, models: {{m: {{}}}}}}",
        CONFIG,
    )
    async with babbler, shadowing(text) as server:
        async with await server.chat(model="coder", stream=stream) as answer:
            assert b'"error":' not in await answer.read()
        await server.settled(1)
        assert server.books.faults == {("r", "answer_too_large"): 1}
        assert sent < 60_000_000
        assert server.books.held == 0
        assert server.records[0].fault is None


async def test_a_fault_of_the_candidate_alone_is_evidence():
    """It is counted by its kind, and the pair says who failed; a limit of its provider says nothing about it."""
    async with shadowing() as server:
        await server.chat(model="coder", headers={"x-twospeed-simulate": "http_500@new"})
        await server.settled(1)
        assert server.books.faults == {("r", "provider_error"): 1}
        assert (server.pairs[0].stable.fault, server.pairs[0].candidate.fault) == ("", "provider_error")
        await server.chat(model="coder", headers={"x-twospeed-simulate": "http_429@new"})
        await server.settled(2)
        assert server.books.dropped == {"limited": 1}


async def test_a_fault_of_the_stable_version_is_compared_as_well():
    """The candidate may do better: both sides are told."""
    async with shadowing() as server:
        answer = await server.chat(model="coder", headers={"x-twospeed-simulate": "http_500@old"})
        assert answer.status == 502
        await server.settled(1)
        assert (server.pairs[0].stable.fault, server.pairs[0].candidate.fault) == ("provider_error", "")


async def test_requests_that_may_act_are_never_copied():
    """Idempotency keys, kept answers, and tools that a provider runs stay with the version that serves."""
    async with shadowing() as server:
        await server.chat(model="coder", headers={"idempotency-key": "k"})
        await server.chat(model="coder", store=True)
        responses = server.url + "/v1/responses"
        await server.http.post(responses, json={"model": "coder", "input": "hi"})
        await server.http.post(responses, json={"model": "coder", "input": "hi", "store": True})
        await server.http.post(responses, json={"model": "coder", "input": "hi", "previous_response_id": "resp_1"})
        messages = {"model": "coder", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
        await server.http.post(f"{server.url}/v1/messages", json={**messages, "mcp_servers": [{"url": "x"}]})
        await server.settled(6)
        assert server.books.dropped == {"stateful": 4, "acts": 2}
        assert server.candidate.served == 0
        assert server.books.held == 0


async def test_only_the_share_that_is_wanted_is_copied():
    """Without a share, for another name, and while the candidate itself serves, nothing is kept at all."""
    async with shadowing(share=0.0) as server:
        await server.chat(model="coder")
        server.books.shares["r"] = 1.0
        await server.chat(model="plain")
        server.phase(Phase.PROMOTED)
        await server.chat(model="coder")
        assert server.books.held == 0
        assert not server.mirror._tasks
        assert not server.books.dropped
        assert server.candidate.served == 0


async def test_a_flag_says_how_much_is_copied():
    """Outside the gate a flag keeps copying; within it, one of 0% ends it for whom it is meant."""
    flags = "flags: [{id: always, set: {shadow: SHARE}}]\n"
    async with shadowing(CONFIG + flags.replace("SHARE", "100%"), share=0.0) as server:
        server.phase(Phase.ROLLED_BACK)
        await server.chat(model="coder")
        await server.settled(1)
        assert server.books.compared == {"r": 1}
    async with shadowing(CONFIG + flags.replace("SHARE", "0%")) as server:
        await server.chat(model="coder")
        assert server.books.held == 0
        assert not server.mirror._tasks


async def test_without_rollouts_nobody_listens():
    """A server without rollouts has nothing that could copy."""
    async with serving() as server:
        await server.chat()
        assert server.server.api.runtime.proxy.arms is None


@pytest.mark.parametrize(
    ("budget", "reason"),
    [
        ("memory: 100KB", "memory"),
        ("rpm: 1", "rpm"),
        ("tokens_per_day: 1", "tokens"),
        ("concurrency: 1", "busy"),
    ],
)
async def test_copies_keep_to_their_budget(budget, reason):
    """What is over it is dropped and counted; clients do not notice."""
    async with shadowing(CONFIG + f"shadow: {{{budget}}}\n") as server:
        for _ in range(2):
            answer = await server.chat(model="coder")
            assert answer.status == 200
            if reason != "busy":
                await server.settled(len(server.records))
        await server.settled(2)
        assert server.books.dropped[reason] >= 1
        assert server.books.held == 0


async def test_a_copy_may_cost_money_only_as_budgeted():
    """By the candidate's price; the day's money gone, no more copies."""
    priced = CONFIG.replace(
        "new: {kind: simulated, models: {m: {}}",
        "new: {kind: simulated, models: {m: {price: {input: 1000, output: 1000}}}",
    )
    async with shadowing(priced + "shadow: {cost_per_day: 0.0001}\n") as server:
        for number in range(2):
            await server.chat(model="coder")
            await server.settled(number + 1)
        assert server.books.compared == {"r": 1}
        assert server.books.dropped == {"cost": 1}


async def test_requests_out_of_scope_are_not_copied():
    """Keys, repositories and languages of the rollout's scope hold for copies; those of a drill are copied for nobody."""
    scoped = CONFIG.replace("    gates:", "    scope: {repos: [web], languages: [go]}\n    gates:")
    async with shadowing(scoped) as server:
        await server.chat("fix main.go", model="coder")
        await server.chat("fix app.py", model="coder", headers={"x-twospeed-repo": "web"})
        await server.chat("fix main.go", model="coder", headers={"x-twospeed-repo": "web"})
        await server.settled(3)
        assert server.books.dropped == {"scope": 2}
        assert server.books.compared == {"r": 1}
    async with shadowing(CONFIG) as server:
        await server.chat(model="coder", headers={"x-twospeed-repo": "twospeed-drill"})
        await server.settled(1)
        assert (server.books.dropped, server.books.compared) == ({"scope": 1}, {})


async def test_copies_end_with_the_server():
    """When it drains, what is under way is dropped at once and nothing more is begun."""
    async with shadowing() as server:
        await server.chat(model="coder", headers={"x-twospeed-simulate": "hang@new"})
        await server.until(lambda: server.books.under_way)
        candidate, books, mirror = server.candidate, server.books, server.mirror
        mirror.drop()
        await server.until(lambda: not mirror._tasks)
        assert books.dropped == {"stopped": 1}
        assert (books.under_way, books.held, candidate.open_exchanges) == (0, 0, 0)
        await server.chat(model="coder")
        assert books.dropped == {"stopped": 2}
        assert candidate.served == 1


async def test_a_reload_drops_copies_and_keeps_the_books():
    """The new snapshot copies on; what the old one had under way ends."""
    async with shadowing() as server:
        await server.chat(model="coder", headers={"x-twospeed-simulate": "hang@new"})
        await server.until(lambda: server.books.under_way)
        old, books = server.mirror, server.books
        server.server.reload()
        await server.until(lambda: not old._tasks)
        assert server.mirror is not old
        assert server.books is books
        assert books.dropped == {"stopped": 1}
        server.phase(Phase.SHADOW)
        books.shares["r"] = 1.0
        await server.chat(model="coder")
        await server.settled(2)
        assert books.compared == {"r": 1}


async def test_the_client_that_left_is_not_copied():
    """What the client did not want to the end is no measure."""
    async with shadowing() as server:
        answer = await server.chat(model="coder", stream=True, headers={"x-twospeed-simulate": "stall:5@old"})
        answer.close()
        await server.settled(1)
        assert server.books.dropped == {"client": 1}
        assert server.books.held == 0


async def test_tool_calls_are_compared():
    """The same tool with the same arguments, or not; an invalid call is told of each side."""
    tool = {"type": "function", "function": {"name": "ls", "parameters": {"type": "object", "properties": {}}}}
    async with shadowing() as server:
        body = {"model": "coder", "tools": [tool], "tool_choice": "required"}
        answer = await server.chat(**body)
        called = json.loads(await answer.read())["choices"][0]["message"].get("tool_calls")
        assert called
        await server.settled(1)
        pair = server.pairs[0]
        assert pair.tools in ("same", "arguments")
        assert pair.stable.tool_call_valid is True
        assert pair.candidate.tool_call_valid is True


async def test_a_copy_is_no_request():
    """Neither the log nor metrics nor the record of its request hear of it; its own record is linked to that one's trace."""
    traced = CONFIG + "telemetry: {traces: {endpoint: 'http://127.0.0.1:9', ratio: 100%, timeout: 100ms}}\n"
    async with shadowing(traced) as server:
        told: list[Record] = []
        server.server.reporting.asides.append(told.append)
        await server.chat(model="coder")
        await server.settled(1)
        (record,), (copy,) = server.records, told
        assert copy.arm == "shadow"
        assert copy.rollout == "r"
        assert copy.linked == record.trace
        assert copy.trace.id != record.trace.id
        assert copy.trace.sampled
        assert copy.attempts[0].span == copy.trace.span
        assert [attempt.backend.name for attempt in record.attempts] == ["old/m@default"]
        text = (await server.server.desk.metrics(""))[1].decode()
        counted = [line for line in text.splitlines() if line.startswith(("twospeed_request", "twospeed_attempts"))]
        assert counted
        assert not [line for line in counted if 'provider="new"' in line]
        assert 'twospeed_shadow_sent_total{rollout="r"} 1' in text


async def test_requests_on_trial_are_listened_to():
    """While a step bakes, each record says whether the answer refused and whether its tool calls were valid."""
    tool = {"type": "function", "function": {"name": "ls", "parameters": {"type": "object", "properties": {}}}}
    async with shadowing(share=0.0) as server:
        server.phase(Phase.BAKING, 0)
        headers = {"x-session-id": "s"}
        for stream in (False, True):
            async with await server.chat(model="coder", headers=headers, stream=stream) as answer:
                await answer.read()
            async with await server.chat(
                model="coder", headers=headers, stream=stream, tools=[tool], tool_choice="required"
            ) as answer:
                await answer.read()
        assert {record.arm for record in server.records} <= {"stable", "candidate"}
        assert [record.refusal for record in server.records] == [False] * 4
        assert [record.tool_call_valid for record in server.records] == [None, True, None, True]
        assert server.books.held == 0
