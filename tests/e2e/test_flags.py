"""Flags from the outside: set in the file or by hand, and met by the requests they mean."""

import asyncio

from tests.serving import TWO_FAST, serving

ADMIN = "admin: {port: 0, key: env:ADMIN}\n"
KEY = {"x-admin-key": "s3cret"}
FLAGS = """
flags:
  - {id: web, set: {tier: deep}, scope: {repos: [web]}}
  - {id: two, set: {model: two/m}, scope: {clients: ["editor/*"]}}
  - {id: rust, set: {tier: deep, hedge: false, resume: false}, scope: {languages: [rust]}}
"""


async def where(server, model="auto", **headers):
    """Tier, backend and reason of a request."""
    async with await server.chat(model=model, headers=headers) as answer:
        await answer.read()
        return tuple(answer.headers[f"x-twospeed-{name}"] for name in ("tier", "backend", "reason"))


async def test_flags_of_the_file_are_met_by_those_they_mean():
    """By repository, client and language; everybody else goes where they went before."""
    async with serving(TWO_FAST + FLAGS, {}) as server:
        assert (await where(server))[:2] == ("fast", "one/m@default")
        assert await where(server, **{"x-twospeed-repo": "web"}) == ("deep", "slow/m@default", "flag:web")
        assert (await where(server, **{"user-agent": "Editor/7"}))[:2] == ("fast", "two/m@default")
        assert (await where(server, **{"x-twospeed-language": "rust"}))[0] == "deep"
        assert server.records[-1].notes == ["flag:rust"]
        # Who names a backend is not moved to another tier.
        assert (await where(server, "lone", **{"x-twospeed-repo": "web"}))[1] == "one/m@default"


async def test_a_flag_set_by_hand_counts_from_the_next_request_on(tmp_path):
    """And outlives the server."""
    text = f"{ADMIN}stores: {{ledger: {tmp_path}/ledger.db}}\n{TWO_FAST}"
    async with serving(text, {"ADMIN": "s3cret"}) as server:
        loops = asyncio.create_task(server.server.serve())
        url = "http://{}:{}/admin/flags/calm".format(*server.server.open_admin())
        async with server.http.put(url, json={"set": {"tier": "deep"}}, headers=KEY) as answer:
            assert answer.status == 200, await answer.text()
        assert (await where(server))[0] == "deep"
        server.server.stop()
        await loops
    async with serving(text, {"ADMIN": "s3cret"}) as server:
        assert await where(server) == ("deep", "slow/m@default", "flag:calm")
        loops = asyncio.create_task(server.server.serve())
        url = "http://{}:{}/admin/flags/calm".format(*server.server.open_admin())
        async with server.http.delete(url, headers=KEY) as answer:
            assert answer.status == 200
        assert (await where(server))[0] == "fast"
        server.server.stop()
        await loops
