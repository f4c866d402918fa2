"""Limits of providers through the real door: who is kept room for, and who waits for it."""

from tests.serving import TWO_FAST, serving

SHARED = TWO_FAST.replace(
    "one: {kind: simulated,", "one: {kind: simulated, fast_share: 40%, limits: {'*': {rpm: 5}},"
).replace("deep: {models: [slow/m]", "deep: {models: [one/m]")
WAITING = TWO_FAST.replace("fast: {models", "fast: {limit_wait: 2s, models").replace("total: 10s", "total: 60s")


async def test_deep_requests_leave_the_fast_tier_its_share_of_a_limit():
    """Where both tiers use one pool, deep traffic is refused while fast traffic still passes."""
    async with serving(SHARED) as server:
        deep = [(await server.chat(model="deep")).status for _ in range(5)]
        assert deep == [200, 200, 200, 429, 429]
        served = [(await server.chat(f"n {n}", model="fast")).headers["x-twospeed-backend"] for n in range(3)]
        assert served == ["one/m@default", "one/m@default", "two/m@default"]


async def test_a_limit_that_ends_soon_is_waited_for():
    """A silence of a moment is waited out, and the client never hears of it."""
    async with serving(WAITING) as server:
        refused = await server.chat(model="lone", headers={"x-twospeed-simulate": "http_429:900ms"})
        assert refused.status == 429
        answer = await server.chat(model="lone")
        assert answer.status == 200
        assert server.records[1].notes == ["limited:one/m:cooldown"]
        assert server.records[1].ended_at - server.records[1].started_at > 0.05


async def test_without_the_setting_nobody_waits():
    """The refusal comes at once."""
    async with serving() as server:
        await server.chat(model="lone", headers={"x-twospeed-simulate": "http_429:900ms"})
        assert (await server.chat(model="lone")).status == 429
