"""`twospeed serve` as a process: starts, answers, reloads, drains."""

import asyncio
import signal

import aiohttp
import pytest
from tests.processes import running

from twospeed.cli import FAILED, MISUSED, main
from twospeed.cli.serve import screen
from twospeed.config import read

CONFIG = """
listen: {port: 0}
admin: {port: 0}
providers:
  one: {kind: simulated, models: {m: {}}, simulate: {first_token: {median: 1ms}, tokens_per_second: 40, output_tokens: {median: 20}}}
tiers: {fast: {models: [one/m]}, deep: {models: [one/m]}}
"""


def test_screen_says_how_to_use_it():
    """Addresses, tiers, what is simulated, what is left out, how to point a client at it."""
    loaded = read(CONFIG.encode(), "c.yaml", {})
    text = screen(loaded, ("127.0.0.1", 8080), None)
    for part in (
        "http://127.0.0.1:8080/v1",
        "fast  one/m@default (simulated)",
        "OPENAI_BASE_URL=",
        "no keys",
        "admin: off",
    ):
        assert part in text
    assert "http://[::1]:1/v1" in screen(loaded, ("::1", 1), ("127.0.0.1", 2))


def test_a_bad_file_does_not_start(tmp_path, capsys, monkeypatch):
    """Exit code 2 and the place of the mistake."""
    monkeypatch.setenv("TWOSPEED_STATE_DIR", str(tmp_path / "state"))
    path = tmp_path / "c.yaml"
    path.write_text("tiers: 3\n")
    assert main(["serve", "--config", str(path)]) == MISUSED
    assert "c.yaml:1:" in capsys.readouterr().err


@pytest.fixture
async def served(tmp_path):
    """Serve CONFIG from a file in a process of its own."""
    path = tmp_path / "c.yaml"
    path.write_text(CONFIG)
    async with running(
        "serve", "--config", str(path), "--log", "json", TWOSPEED_STATE_DIR=str(tmp_path / "state")
    ) as process:
        yield process, path


async def test_stream_in_flight_survives_sigterm(served):
    """A drain lets the stream finish, takes nothing new, and exits 0."""
    process, _ = served
    url = (await process.until(r"serves (http://\S+)/v1"))[1]
    async with aiohttp.ClientSession() as http:
        body = {"model": "fast", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
        async with http.post(f"{url}/v1/chat/completions", json=body) as answer:
            await answer.content.readany()
            process.process.send_signal(signal.SIGTERM)
            await process.until("draining")
            rest = await answer.content.read()
    assert rest.endswith(b"data: [DONE]\n\n")
    async with asyncio.timeout(20):
        assert await process.process.wait() == 0
    said = process.said + (await process.process.stderr.read()).decode()
    assert '"status":200' in said


async def test_reload_takes_a_good_file_and_refuses_a_bad_one(served):
    """SIGHUP swaps the configuration; a broken file changes nothing and is reported."""
    process, path = served
    url = (await process.until(r"serves (http://\S+)/v1"))[1]
    async with aiohttp.ClientSession() as http:

        async def names() -> set[str]:
            async with http.get(f"{url}/v1/models") as answer:
                return {model["id"] for model in (await answer.json())["data"]}

        path.write_text(CONFIG + "models: {mine: one/m}\n")
        process.process.send_signal(signal.SIGHUP)
        await process.until("configuration reloaded")
        assert "mine" in await names()
        path.write_text(CONFIG + "models: {mine: nobody/m}\n")
        process.process.send_signal(signal.SIGHUP)
        await process.until("stays in force")
        assert "mine" in await names()


async def test_a_changed_file_is_taken_over_by_itself(served):
    """Saving the file is enough; a broken one is reported once and changes nothing."""
    process, path = served
    await process.until(r"serves (http://\S+)/v1")
    path.write_text(CONFIG + "models: {mine: one/m}\n")
    await process.until("configuration reloaded")
    path.write_text(CONFIG + "models: {mine: nobody/m}\n")
    await process.until("stays in force")


@pytest.mark.parametrize("allowed", [True, False])
async def test_a_broken_file_does_not_stop_the_next_start(served, tmp_path, allowed: bool):
    """What served last is served again, loudly, with every secret still only referred to, unless that is switched off."""
    process, path = served
    await process.until(r"serves (http://\S+)/v1")
    if not allowed:
        path.write_text(CONFIG + "reload: {last_good: false}\n")
        await process.until("configuration reloaded")
    process.process.terminate()
    await process.process.wait()
    path.write_text("tiers: 3\n")
    state = str(tmp_path / "state")
    async with running("serve", "--config", str(path), "--log", "off", TWOSPEED_STATE_DIR=state) as again:
        if allowed:
            await again.until("IS NOT VALID. Serving the configuration that served last")
            await again.until(r"serves (http://\S+)/v1")
            assert "c.yaml:1:" in again.said
        else:
            assert await again.ended() == MISUSED


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_store_that_cannot_be_named_so_does_not_start(tmp_path, capfd, monkeypatch, workers: str):
    """What redis-py does not understand is told with its key, by whichever process finds it."""
    monkeypatch.setenv("TWOSPEED_STATE_DIR", str(tmp_path / "state"))
    path = tmp_path / "c.yaml"
    path.write_text(CONFIG + "stores: {redis: {url: 'redis://h?no_such_option=1'}}\n")
    assert main(["serve", "--config", str(path), "--workers", workers]) in (MISUSED, FAILED)
    assert "stores.redis.url: got an unexpected keyword argument 'no_such_option'" in capfd.readouterr().err
