"""`twospeed drill rollback` against a server that serves."""

import asyncio
import json

import pytest
from tests.serving import serving

from twospeed.cli import main
from twospeed.policy.rollout import Phase

CONFIG = """
listen: {port: 0}
admin: {port: 0, key: env:ADMIN}
stores: {ledger: %s/ledger.db}
providers:
  now: {kind: simulated, models: {old: {}}, simulate: &quick {first_token: {median: 1ms}, tokens_per_second: 100000}}
  next: {kind: simulated, models: {new: {}}, simulate: *quick}
models: {coder: now/old}
tiers: {fast: {models: [now/old]}, deep: {models: [now/old]}}
"""
ROLLOUTS = """
rollouts:
  - {id: r, target: {alias: coder, stable: now/old, candidate: next/new}, gates: [{drill_age: 90d}]}
"""


@pytest.fixture
async def server(tmp_path, monkeypatch):
    """A server with its loops running, and its admin listener open."""
    monkeypatch.setenv("TWOSPEED_ADMIN_KEY", "s3cret")
    async with serving(CONFIG % tmp_path + ROLLOUTS, {"ADMIN": "s3cret"}) as running:
        loops = asyncio.create_task(running.server.serve())
        running.admin = "http://{}:{}".format(*running.server.open_admin())
        yield running
        running.server.stop()
        await loops


async def drill(server, capsys, *words):
    """Exit code, output and complaints."""
    capsys.readouterr()
    there = ["--url", server.admin, "--serve", server.url]
    code = await asyncio.to_thread(main, ["drill", "rollback", *there, *words])
    out, err = capsys.readouterr()
    return code, out, err


async def test_a_drill_opens_the_gate(server, capsys, tmp_path):
    """Passed, timed, reported in two files, and known to the server: the rollout may begin now."""
    rollout = ["rollout", "start", "r", "--url", server.admin]
    assert await asyncio.to_thread(main, rollout) == 4
    code, out, _ = await drill(server, capsys, "--output", str(tmp_path / "reports"), "--json")
    report = json.loads(out)
    assert (code, report["passed"], report["late"], report["broken"]) == (0, True, 0, 0)
    assert (report["alias"], report["candidate"]) == ("coder", "next/new")
    files = sorted(path.suffix for path in (tmp_path / "reports").iterdir())
    assert files == [".json", ".txt"]
    assert await asyncio.to_thread(main, rollout) == 0
    assert server.server.rollouts.held["r"].state.phase is Phase.BAKING
    assert (await server.server.desk.status())["drill"]["outcome"] == "passed"


async def test_a_drill_that_cannot_be_held_is_a_failed_one(server, capsys, tmp_path, monkeypatch):
    """The candidate is taken back, the ledger has it, and the gate stays closed."""
    monkeypatch.setattr("twospeed.drill.rollback.MET_WITHIN", 0.5)
    code, _, err = await drill(
        server,
        capsys,
        "--serve",
        "http://127.0.0.1:9",
        "--output",
        str(tmp_path),
        "--caller-key",
        "env:TWOSPEED_ADMIN_KEY",
    )
    assert code == 1
    assert "no request to http://127.0.0.1:9/v1 was answered well" in err
    assert "drill" not in server.server.rollouts.held
    assert (await server.server.desk.status())["drill"]["outcome"] == "failed"


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--candidate", "now/old"], 2, "the same version"),
        (["--caller-key", "env:NOT_THERE"], 2, "NOT_THERE"),
        (["--key", "env:NOT_THERE"], 2, "NOT_THERE"),
    ],
)
async def test_what_cannot_be_drilled_is_said(server, capsys, words, code, told):
    """Before anything is sent."""
    found, _, err = await drill(server, capsys, *words)
    assert (found, told in err) == (code, True), err
