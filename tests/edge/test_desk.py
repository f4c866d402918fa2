"""The desk of one process, asked over its admin listener while it serves."""

import aiohttp
from tests.openmetrics import parse
from tests.serving import TWO_FAST, Serving, serving

from twospeed.telemetry.metrics import SERIES

ADMIN = "admin: {port: 0, key: env:ADMIN}\n"
ENV = {"ADMIN": "s3cret"}
KEY = {"x-admin-key": "s3cret"}


async def asked(server: Serving, path: str, method: str = "GET", **options) -> aiohttp.ClientResponse:
    """Ask the admin listener, which is opened at the first question."""
    if not hasattr(server, "admin"):
        server.admin = server.server.open_admin()
    answer = await server.http.request(method, "http://{}:{}{}".format(*server.admin, path), **options)
    await answer.read()
    return answer


async def families(server: Serving):
    """What /metrics says, strictly read."""
    text = await (await asked(server, "/metrics", headers={"accept": "application/openmetrics-text"})).text()
    return parse(text, open_metrics=True)


def values(family):
    """Values of a family by their labels."""
    return {tuple(value for _, value in sample.labels): sample.value for sample in family.samples}


async def test_metrics_tell_of_requests_that_went_by():
    """Served, fallen back and refused requests are on /metrics when their answers are."""
    async with serving(ADMIN + TWO_FAST, ENV) as server:
        await server.chat(model="lone")
        await server.chat(model="pair", headers={"x-twospeed-simulate": "http_500@one"})
        await server.chat(model="made-up-by-a-client")
        found = await families(server)
        assert values(found["twospeed_requests"]) == {
            ("fast", "one", "m", "default", "200"): 1,
            ("fast", "two", "m", "default", "200"): 1,
            ("none", "none", "other", "none", "404"): 1,
        }
        assert values(found["twospeed_attempts"])["fast", "one", "m", "default", "provider_error"] == 1
        assert values(found["twospeed_faults"]) == {("none", "none", "other", "none", "model_not_found"): 1}
        assert values(found["twospeed_breaker_state"])["slow", "m", "default", "closed"] == 1
        assert values(found["twospeed_requests_in_flight"]) == {(): 0}
        assert values(found["twospeed_tasks"])[()] >= 1
        assert sum(len(family.samples) for family in found.values()) <= SERIES


async def test_status_tells_how_it_goes():
    """State, tiers, backends with breaker and first token, limits, store and configuration."""
    async with serving(ADMIN + TWO_FAST, ENV) as server:
        await server.chat(model="lone", stream=True)
        said = await (await asked(server, "/admin/status")).json()
        assert said["state"] == "serving"
        assert said["requests"]["in_flight"] == 0
        assert {backend["name"]: backend["breaker"] for backend in said["backends"]}["two/m@default"] == "closed"
        assert said["backends"][0]["first_token"] > 0
        assert said["uptime"] >= 0


async def test_config_shows_no_secret():
    """The file as it is in force, the key as a reference."""
    async with serving(ADMIN + TWO_FAST, ENV) as server:
        text = await (await asked(server, "/admin/config")).text()
        assert "s3cret" not in text
        assert '"key": "***"' in text or '"key": "env:ADMIN"' in text


async def test_a_reload_is_counted_and_told():
    """A good one swaps the snapshot, a bad one changes nothing; both are on /metrics."""
    async with serving(ADMIN + TWO_FAST, ENV) as server:
        before = server.server.api.runtime
        assert (await asked(server, "/admin/reload", "POST")).status == 401
        assert (await asked(server, "/admin/reload", "POST", headers=KEY)).status == 200
        assert server.server.api.runtime is not before
        assert values((await families(server))["twospeed_config_reloads"]) == {("ok",): 1, ("refused",): 0}
        await server.chat(model="lone")
        assert values((await families(server))["twospeed_requests"])[("fast", "one", "m", "default", "200")] == 1
