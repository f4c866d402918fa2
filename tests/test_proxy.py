"""The story of one request: one record, whatever happens, and headers that say where it went."""

from tests.serving import serving


async def test_every_request_leaves_one_record():
    """Served, refused, not understood: each is told exactly once."""
    async with serving() as server:
        await server.chat()
        await server.chat(model="nope")
        await server.chat(messages=[])
        await server.chat(headers={"x-twospeed-simulate": "http_400"})
        assert [record.fault for record in server.records] == [
            None,
            "model_not_found",
            "bad_request",
            "provider_refused",
        ]
        assert len({record.id for record in server.records}) == 4


async def test_the_record_holds_no_content():
    """Prompts, answers and keys are nowhere in it."""
    async with serving() as server:
        await server.chat("my secret plan", headers={"authorization": "Bearer sk-secret"})
        await server.chat(
            "my secret plan", headers={"authorization": "Bearer sk-secret", "x-twospeed-simulate": "http_500"}
        )
        assert "secret" not in repr(server.records)


async def test_every_answer_says_where_it_came_from():
    """Headers carry id, tier, backend, reason and attempts; on errors as far as known."""
    async with serving() as server:
        served = await server.chat()
        assert served.headers["x-request-id"] == server.records[0].id
        assert served.headers["x-twospeed-backend"] == "one/m@default"
        assert served.headers["x-twospeed-attempts"] == "1"
        failed = await server.chat(model="lone", headers={"x-twospeed-simulate": "http_500"})
        assert failed.headers["x-twospeed-backend"] == "one/m@default"
        unknown = await server.chat(model="nope")
        assert "x-request-id" in unknown.headers
        assert "x-twospeed-backend" not in unknown.headers


async def test_idempotency_key_forbids_a_replay_elsewhere():
    """Another provider does not know the key, so a request that was sent is not sent again."""
    async with serving() as server:
        headers = {"idempotency-key": "k1", "x-twospeed-simulate": "reset:0@one"}
        answer = await server.chat(model="pair", headers=headers)
        assert answer.status == 502
        assert server.transport("two").served == 0
