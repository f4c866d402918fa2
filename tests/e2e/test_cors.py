"""Web pages at the door."""

import pytest
from tests.serving import TWO_FAST, serving

PAGE = {"origin": "https://chat.example"}
WELCOME = TWO_FAST.replace("{port: 0}", "{port: 0, cors: ['https://chat.example']}")


async def test_a_page_that_is_let_in_may_read_every_answer():
    """Whole answers, streams and refusals carry the header; the browser's question is answered without a key."""
    async with serving(WELCOME) as server:
        asked = {**PAGE, "access-control-request-method": "POST", "access-control-request-headers": "authorization"}
        url = f"{server.url}/v1/chat/completions"
        async with server.http.options(url, headers=asked) as answer:
            assert answer.status == 204
            assert answer.headers["access-control-allow-headers"] == "authorization"
        for body in ({"model": "fast"}, {"model": "fast", "stream": True}, {"model": "nope"}, {"model": 3}):
            answer = await server.chat(headers=PAGE, **body)
            assert answer.headers["access-control-allow-origin"] == PAGE["origin"]
            assert "x-request-id" in answer.headers["access-control-expose-headers"]
        async with server.http.get(f"{server.url}/v1/nothing", headers=PAGE) as answer:
            assert answer.headers["access-control-allow-origin"] == PAGE["origin"]


@pytest.mark.parametrize("text", [TWO_FAST, WELCOME], ids=["off", "another"])
async def test_other_pages_are_not_served(text: str):
    """Without keys, no page that a user happens to visit can spend tokens here, or read anything."""
    async with serving(text) as server:
        answer = await server.chat(headers={"origin": "https://evil.example"})
        assert answer.status == 401
        assert "access-control-allow-origin" not in answer.headers
        asked = {"origin": "https://evil.example", "access-control-request-method": "POST"}
        async with server.http.options(f"{server.url}/v1/chat/completions", headers=asked) as answer:
            assert answer.status == 401
        assert (await server.chat(headers={"origin": "vscode-webview://abc"})).status == 200
        assert not [record for record in server.records if record.status == 401 and record.attempts]
