"""What an operator has written about routing, through the door: rules, takeovers, watching, prompt caches, money, reasons."""

import asyncio
from textwrap import dedent

import pytest
from tests.serving import serving

from twospeed.errors import Kind
from twospeed.types import Usage

CONFIG = dedent("""
    listen: {port: 0}
    classify: {mode: MODE, target: {threshold: 0.15}}
    sessions: {switch_worth: 0.05}
    rules:
      - {name: no-secrets, when: {header: {x-purpose: secret}}, deny: Not here.}
      - {name: ci, when: {header: {user-agent: "ci/*"}, tools: false}, tier: deep}
      - {name: named, when: {model: legacy}, model: dear/big}
    providers:
      cheap:
        kind: simulated
        models: {small: {price: {input: 1, output: 5, cached_input: 0.1}}}
        simulate: &quick {first_token: {median: 1ms}, tokens_per_second: 100000}
      dear:
        kind: simulated
        models: {big: {images: true, price: {input: 5, output: 25, cached_input: 0.5, cache_write: 6.25}}, other: {}}
        simulate: *quick
    models: {"*": auto}
    tiers:
      fast: {models: [cheap/small]}
      deep: {models: [dear/big, dear/other]}
""")
DECIDE, OBSERVE = CONFIG.replace("MODE", "decide"), CONFIG.replace("MODE", "observe")
HARD = (
    "Our scheduler deadlocks under load: find the race between the workers, prove it formally and redesign the locking."
)


async def test_rules_come_first():
    """A rule decides before the name and the pin of the client, and is the reason; the next request is unharmed."""
    async with serving(DECIDE) as server:
        pinned = {"user-agent": "ci/7", "x-twospeed-tier": "fast"}
        async with await server.chat(headers=pinned) as answer:
            assert answer.headers["x-twospeed-tier"] == "deep"
            assert answer.headers["x-twospeed-reason"] == "rule:ci"
        async with await server.chat(model="legacy") as answer:
            assert answer.headers["x-twospeed-backend"] == "dear/big@default"
            assert answer.headers["x-twospeed-reason"] == "rule:named,pinned:backend"
        async with await server.chat(model="fast") as answer:
            assert answer.headers["x-twospeed-reason"] == "pinned:tier"


async def test_a_rule_refuses():
    """The client hears the operator's words, and which rule it was; no provider hears anything."""
    async with serving(DECIDE) as server:
        async with await server.chat(headers={"x-purpose": "secret"}) as answer:
            assert answer.status == 403
            assert (await answer.json())["error"]["message"] == "Not here."
            assert answer.headers["x-twospeed-reason"] == "rule:no-secrets"
        assert (server.records[0].fault, server.records[0].attempts) == (Kind.DENIED, [])


async def test_a_taken_over_session_goes_where_the_operator_says():
    """By tier or by backend, until it is released; other sessions do not notice."""
    async with serving(DECIDE) as server:
        affinity = server.server.api.runtime.memory.affinity
        mine = {"x-twospeed-session": "mine"}
        async with await server.chat(headers=mine) as answer:
            assert answer.headers["x-twospeed-tier"] == "fast"
        session = server.records[0].session
        for to, backend in (("deep", "dear/big@default"), ("dear/other@default", "dear/other@default")):
            affinity.pin(session, to, 60.0)
            async with await server.chat(headers=mine) as answer:
                assert answer.headers["x-twospeed-backend"] == backend
                assert answer.headers["x-twospeed-reason"] == "pinned:operator"
        async with await server.chat(headers={"x-twospeed-session": "other"}) as answer:
            assert answer.headers["x-twospeed-tier"] == "fast"
        affinity.pin(session, "deep", 0.0)
        async with await server.chat(headers=mine) as answer:
            assert answer.headers["x-twospeed-tier"] == "fast"


async def test_watching_honours_the_model():
    """In observe mode a client gets the model it asked for; the record says what auto would have done."""
    async with serving(OBSERVE) as server:
        async with await server.chat("say hi", model="big") as answer:
            assert answer.headers["x-twospeed-backend"] == "dear/big@default"
        record = server.records[0]
        assert (record.tier, record.observed.tier) == ("deep", "fast")
        async with await server.chat("say hi", model="auto") as answer:
            assert answer.headers["x-twospeed-tier"] == "fast"
        assert server.records[1].observed is None
        snapshot = server.server.reporting.metrics.snapshot()
        assert [(point.labels, point.value) for point in snapshot["twospeed.observed"]] == [(("deep", "fast"), 1)]
    async with serving(DECIDE) as server, await server.chat("say hi", model="big") as answer:
        assert answer.headers["x-twospeed-tier"] == "fast"


async def test_a_conversation_stays_where_it_is_cached():
    """A score just above the line does not move a long conversation; one who may not be told apart is decided afresh."""
    async with serving(DECIDE) as server:
        long = "\n".join(f"{n}: what the file says" for n in range(3_000))
        talk = [{"role": "user", "content": "say hi"}, {"role": "assistant", "content": long}]
        body = {"messages": [*talk, {"role": "user", "content": "thanks"}]}
        mine = {"x-twospeed-session": "mine"}
        async with await server.chat(headers=mine, **body) as answer:
            assert answer.headers["x-twospeed-tier"] == "fast"
        harder = {"messages": [*talk, {"role": "user", "content": HARD}]}
        async with await server.chat(headers={"x-twospeed-session": "new"}, **harder) as answer:
            assert answer.headers["x-twospeed-tier"] == "deep"
        async with await server.chat(headers={**mine, "x-twospeed-explain": "1"}, **harder) as answer:
            assert answer.headers["x-twospeed-tier"] == "fast"
            assert answer.headers["x-twospeed-reason"].startswith("session:cache,score:high")
            assert "did not change the tier" in answer.headers["x-twospeed-explain"]
        weighed = server.records[2].weighed
        assert (weighed.here, weighed.made) == ("fast", False)
        assert weighed.lost > weighed.worth


async def test_money_is_in_the_record():
    """Tokens by the price of the backend, streamed or not; without a price nothing is said."""
    async with serving(DECIDE) as server:
        for stream in (False, True):
            async with await server.chat(model="fast", stream=stream) as answer:
                await answer.read()
        async with await server.chat(model="dear/other") as answer:
            await answer.read()
        plain, streamed, unpriced = server.records
        for record in (plain, streamed):
            usage: Usage = record.usage
            expected = (usage.input_tokens - usage.cached_tokens * 0.9 + usage.output_tokens * 5) / 1e6
            assert record.cost == pytest.approx(expected)
            assert not usage.estimated
        assert unpriced.cost is None
        snapshot = server.server.reporting.metrics.snapshot()
        assert snapshot["twospeed.cost"][0].labels == ("fast", "cheap", "small", "default", "none", "reported")
        assert snapshot["twospeed.cost"][0].value == pytest.approx(plain.cost + streamed.cost)
        assert snapshot["twospeed.key.cost"][0].labels == ("anonymous", "fast", "reported")
        assert snapshot["twospeed.cost.unpriced"][0].labels == ("deep", "dear", "other", "default", "none")


async def test_a_stream_cut_off_is_counted_by_what_came():
    """When the client leaves, what the provider wrote until then is estimated, and said to be."""
    slow = DECIDE.replace("tokens_per_second: 100000", "tokens_per_second: 20")
    async with serving(slow) as server:
        answer = await server.chat(model="fast", stream=True)
        await answer.content.readuntil(b"\n\n")
        await answer.content.readuntil(b"\n\n")
        answer.close()
        while not server.records:
            await asyncio.sleep(0.01)
        record = server.records[0]
        assert record.fault is Kind.CLIENT_GONE
        assert record.usage.estimated
        assert record.cost > 0


async def test_the_reason_is_told_in_words():
    """Only to those who ask: score, signals, order; the names are those of the configuration."""
    async with serving(DECIDE) as server:
        async with await server.chat(HARD, headers={"x-twospeed-explain": "1"}) as answer:
            told = answer.headers["x-twospeed-explain"]
        assert "the line is at" in told
        assert "strongest signals" in told
        assert "order: " in told
        assert "scheduler" not in told
        assert server.records[0].explained
        async with await server.chat(HARD) as answer:
            assert "x-twospeed-explain" not in answer.headers


async def test_images_go_where_they_are_seen():
    """Of several backends a request with an image goes to one that reads images, whatever the order."""
    blind = DECIDE.replace("deep: {models: [dear/big, dear/other]}", "deep: {models: [dear/other, dear/big]}")
    picture = [
        {"type": "text", "text": "what is this"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,"}},
    ]
    async with serving(blind) as server:
        async with await server.chat(model="deep", messages=[{"role": "user", "content": picture}]) as answer:
            assert answer.headers["x-twospeed-backend"] == "dear/big@default"
        async with await server.chat("an image of a cat, in words", model="deep") as answer:
            assert answer.headers["x-twospeed-backend"] == "dear/other@default"
