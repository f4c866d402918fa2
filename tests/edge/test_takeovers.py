"""Sessions taken over by hand, on the admin listener."""

import asyncio
import json

import pytest
from tests.serving import TWO_FAST, serving

KEY = {"x-admin-key": "s3cret"}
CONFIG = "admin: {port: 0, key: env:ADMIN}\n" + TWO_FAST


class Operator:
    """Someone with the admin key."""

    def __init__(self, server) -> None:
        self.server = server
        host, port = server.server.open_admin()
        self.url = f"http://{host}:{port}/admin/sessions"

    async def ask(self, path: str, method: str = "GET", headers=KEY, **body) -> tuple[int, dict]:
        async with self.server.http.request(method, f"{self.url}{path}", json=body or None, headers=headers) as answer:
            return answer.status, json.loads(await answer.read())


@pytest.fixture
async def operator(tmp_path):
    """A server with an admin listener and a ledger of its own."""
    text = f"stores: {{ledger: {tmp_path}/ledger.db}}\n{CONFIG}"
    async with asyncio.timeout(20), serving(text, {"ADMIN": "s3cret"}) as server:
        yield Operator(server)


async def test_a_session_is_taken_over_and_released(operator: Operator):
    """From the next request on; who, when and why stay in the ledger."""
    server, mine = operator.server, {"x-twospeed-session": "mine"}
    async with await server.chat(headers=mine) as answer:
        assert answer.headers["x-twospeed-tier"] == "fast"
    path = f"/{server.records[0].session}/pin"
    status, held = await operator.ask(path, "PUT", tier="deep", reason="she waits for it", **{"for": "1h"})
    assert (status, held["to"], held["by"]) == (200, "deep", "admin")
    assert held["until"] - held["at"] == 3600
    async with await server.chat(headers=mine) as answer:
        assert answer.headers["x-twospeed-reason"] == "pinned:operator"
    assert (await operator.ask(""))[1]["sessions"] == [held]
    assert (await operator.ask(path, "DELETE", reason="done"))[0] == 200
    async with await server.chat(headers=mine) as answer:
        assert answer.headers["x-twospeed-tier"] == "fast"
    await server.server.ledger.written()
    history = (await operator.ask(path))[1]["history"]
    assert [(line["event"], line["actor"], line["reason"]) for line in history] == [
        ("taken_over", "admin", "she waits for it"),
        ("released", "admin", "done"),
    ]
    assert (history[0]["after"], history[1]["before"]) == ("deep", "deep")


async def test_to_one_backend(operator: Operator):
    """By the name a client would use, or the full one."""
    status, held = await operator.ask("/0123456789abcdef/pin", "PUT", backend="two/m", reason="r")
    assert (status, held["to"]) == (200, "two/m@default")


@pytest.mark.parametrize(
    ("session", "body", "said"),
    [
        ("mine", {"tier": "deep", "reason": "r"}, "16 hex digits"),
        ("0123456789abcdef", {"tier": "deep"}, "say why"),
        ("0123456789abcdef", {"tier": "deep", "reason": "r", "until": "1h"}, "known here: tier, backend, for, reason"),
        ("0123456789abcdef", {"tier": "middle", "reason": "r"}, "fast or deep"),
        ("0123456789abcdef", {"reason": "r"}, "name a `tier` or a `backend`"),
        ("0123456789abcdef", {"tier": "deep", "backend": "two/m", "reason": "r"}, "name a `tier` or a `backend`"),
        ("0123456789abcdef", {"backend": "nobody/m", "reason": "r"}, "provider/model"),
        ("0123456789abcdef", {"backend": "pair", "reason": "r"}, "provider/model"),
        ("0123456789abcdef", {"tier": "deep", "reason": "r", "for": "long"}, "a duration"),
        ("0123456789abcdef", {"tier": "deep", "reason": "r", "for": "31d"}, "at most 30d"),
    ],
)
async def test_what_cannot_be_is_refused(operator: Operator, session: str, body: dict, said: str):
    """In words that name what is wrong."""
    status, answer = await operator.ask(f"/{session}/pin", "PUT", **body)
    assert status == 400
    assert said in answer["error"]["message"]


async def test_nobody_without_the_key(operator: Operator):
    """Reading is free on this machine, taking over is not."""
    assert (await operator.ask("/0123456789abcdef/pin", "PUT", headers={}, tier="deep", reason="r"))[0] == 401
    assert (await operator.ask("", headers={}))[0] == 200
