"""Paths, methods and keys at the data listener; more in e2e."""

import gzip

import pytest
from tests.serving import TWO_FAST, serving

from twospeed.edge import unpack


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


async def test_gzip_is_unpacked():
    """A client may send its body compressed."""
    body = gzip.compress(b'{"model":"fast","messages":[{"role":"user","content":"hi"}]}')
    async with serving() as server:
        headers = {"content-encoding": "gzip"}
        async with server.http.post(f"{server.url}/v1/chat/completions", data=body, headers=headers) as answer:
            assert answer.status == 200
        async with server.http.post(f"{server.url}/v1/messages", data=b"no gzip", headers=headers) as answer:
            assert (answer.status, (await answer.json())["type"]) == (400, "error")
