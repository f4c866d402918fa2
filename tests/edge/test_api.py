"""Paths, methods and keys at the data listener; more in e2e."""

import gzip

import pytest
from tests.serving import TWO_FAST, serving

from twospeed.config import Loaded, read
from twospeed.edge import unpack
from twospeed.policy.overload import Caps


@pytest.mark.parametrize("path", ["/chat/completions", "/v1/chat/completions"])
async def test_with_and_without_the_version_prefix(path: str):
    """Clients disagree about /v1; both work."""
    async with serving() as server:
        body = {"model": "fast", "messages": [{"role": "user", "content": "hi"}]}
        async with server.http.post(server.url + path, json=body) as answer:
            assert answer.status == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/v1/chat/completions", 405, "POST"),
        ("POST", "/v1/models", 405, "GET"),
        ("DELETE", "/healthz", 405, "GET"),
        ("POST", "/v2/chat/completions", 404, None),
        ("GET", "/", 404, None),
    ],
)
async def test_wrong_method_or_path(method: str, path: str, status: int, allow: str | None):
    """What is not served says so in OpenAI's shape, with an id to ask about."""
    async with serving() as server, server.http.request(method, server.url + path) as answer:
        assert answer.status == status
        assert answer.headers.get("allow") == allow
        assert answer.headers["x-request-id"].startswith("req_")
        assert set((await answer.json())["error"]) == {"message", "type", "param", "code"}


async def test_bad_body_is_400_and_leaves_a_record():
    """A body that is no request names what is wrong; the record knows it too."""
    async with serving() as server:
        async with server.http.post(
            server.url + "/v1/chat/completions", data=b'{"model": 3, "messages": [{}]}'
        ) as answer:
            assert answer.status == 400
            assert "model" in (await answer.json())["error"]["message"]
        assert server.records[0].fault == "bad_request"
        assert server.records[0].status == 400


async def test_draining_is_not_ready_but_alive():
    """A load balancer stops sending; a supervisor does not kill."""
    async with serving() as server:
        server.server.api.draining = True
        async with server.http.get(server.url + "/readyz") as answer:
            assert answer.status == 503
        async with server.http.get(server.url + "/healthz") as answer:
            assert answer.status == 200


async def test_a_store_that_is_away_is_told_and_no_reason_to_leave():
    """Ready as before, and the store that each process does without is named."""
    async with serving(f"stores: {{redis: {{url: 'redis://127.0.0.1:1', replicas: 2}}}}\n{TWO_FAST}") as server:
        async with server.http.get(server.url + "/readyz") as answer:
            assert answer.status == 200
            assert await answer.json() == {"status": "ready", "degraded": ["redis"]}
        assert (await server.chat()).status == 200


@pytest.mark.parametrize("coding", ["br", "gzip, br", "zstd"] if not unpack.ZSTD else ["br"])
async def test_compressed_bodies_are_refused_before_they_are_read(coding: str):
    """A coding that cannot be unpacked here is named, and the answer says what to do instead."""
    async with serving() as server:
        headers = {"content-encoding": coding, "content-length": "1000000"}
        async with server.http.post(
            f"{server.url}/v1/chat/completions", data=b"x" * 1_000_000, headers=headers
        ) as answer:
            assert answer.status == 415
            assert "Content-Encoding" in (await answer.json())["error"]["message"]


async def test_identity_is_no_compression():
    """A client may say that it sends the body as it is."""
    async with serving() as server:
        assert (await server.chat(headers={"content-encoding": "identity"})).status == 200


async def test_claude_code_is_greeted():
    """It asks for the root first, without a key, and wants a 200."""
    async with serving() as server:
        for path in ("/", "/api/hello"):
            async with server.http.head(server.url + path) as answer:
                assert answer.status == 200


def keyed(name: str, models: str, key: str) -> Loaded:
    """A configuration with one key."""
    text = f"{TWO_FAST}keys: [{{name: {name}, key: env:ANN, models: ['{models}']}}]\n"
    return read(text.encode(), "test.yaml", {"ANN": key})


async def test_a_reload_is_heeded_by_connections_that_stay():
    """A client that says the same again is let in, named and turned away by the keys of now, not by those it came with."""
    async with serving() as server:

        async def statuses() -> list[int]:
            answers = [await server.chat(model="lone", headers={"authorization": "Bearer sk-ann"}) for _ in range(4)]
            return [answer.status for answer in answers if await answer.read()]

        for loaded, expected in [
            (keyed("ann", "*", "sk-ann"), 200),
            (keyed("ann", "*", "sk-bob"), 401),
            (keyed("anna", "*", "sk-ann"), 200),
            (keyed("anna", "none", "sk-ann"), 404),
            (keyed("ann", "*", "sk-ann"), 200),
        ]:
            server.server.adopt(loaded)
            assert await statuses() == [expected] * 4
            assert server.server.http.connections == 1
        callers = [record.caller for record in server.records if record.status == 200]
        assert callers == ["ann"] * 4 + ["anna"] * 4 + ["ann"] * 4


async def test_a_known_head_is_turned_away_like_a_new_one():
    """A full server, a body too large: what may change from one request to the next is asked each time."""
    text = TWO_FAST.replace("listen: {port: 0}", "listen: {port: 0, body_limit: 2000B}")
    async with serving(text) as server:
        for length, status in [(10, 200), (20, 200), (30, 200), (3_000, 413), (40, 200)]:
            assert (await server.chat("x" * length)).status == status
        server.server.api.runtime.seats.caps = Caps(total=0, fast=0, deep=0, line=0)
        assert (await server.chat()).status == 503


async def test_gzip_is_unpacked():
    """A client may send its body compressed."""
    body = gzip.compress(b'{"model":"fast","messages":[{"role":"user","content":"hi"}]}')
    async with serving() as server:
        headers = {"content-encoding": "gzip"}
        async with server.http.post(f"{server.url}/v1/chat/completions", data=body, headers=headers) as answer:
            assert answer.status == 200
        async with server.http.post(f"{server.url}/v1/messages", data=b"no gzip", headers=headers) as answer:
            assert (answer.status, (await answer.json())["type"]) == (400, "error")
