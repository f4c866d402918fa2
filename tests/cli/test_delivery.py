"""`twospeed rollout` against a live admin listener."""

import asyncio
import json

import pytest
from tests.edge.controlled import KEY, ROLLOUT, closed, controlled

from twospeed.cli import main

OTHER = ROLLOUT.model_copy(update={"id": "other"})


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    """The key is where the command looks for it."""
    monkeypatch.setenv("TWOSPEED_ADMIN_KEY", KEY)


async def run(capsys, served, *words):
    """Exit code, output and complaints of a command."""
    capsys.readouterr()
    code = await asyncio.to_thread(main, ["rollout", *words, "--url", served.url])
    out, err = capsys.readouterr()
    return code, out, err


async def test_a_rollout_is_moved_and_looked_at(tmp_path, capsys):
    """Where there is one it need not be named; each command says how it stands then."""
    async with controlled(tmp_path) as served:
        code, out, _ = await run(capsys, served, "start", "--reason", "monday")
        assert (code, out) == (0, "deep: baking, 30% of sessions (step 1 of 2); the gates are open\n")
        assert (await run(capsys, served, "pause", "deep"))[0] == 0
        code, out, _ = await run(capsys, served, "status")
        assert code == 0
        assert out.splitlines()[0].startswith("deep: paused, 30% of sessions (step 1 of 2)")
        assert out.splitlines()[-1] == "last rollback drill: never; run twospeed drill rollback"
        assert (await run(capsys, served, "resume", "--json"))[0] == 0
        code, out, _ = await run(capsys, served, "status", "deep", "--json")
        assert (code, json.loads(out)["phase"]) == (0, "baking")


async def test_history_and_report_tell_what_happened(tmp_path, capsys):
    """One line each, or a document."""
    async with controlled(tmp_path) as served:
        await run(capsys, served, "start", "--reason", "monday")
        await run(capsys, served, "abort", "--reason", "too | slow")
        while served.rollouts.held["deep"].state.phase != "rolled_back":
            await asyncio.sleep(0.01)
        assert await served.ledger.written()
        code, out, _ = await run(capsys, served, "history")
        assert code == 0
        assert "start: draft -> preflight by ann: monday" in out
        assert "abort: baking -> rolling_back by ann: too | slow" in out
        code, _, _ = await run(capsys, served, "report", "--output", str(tmp_path / "review.md"))
        text = (tmp_path / "review.md").read_text()
        assert text.startswith("# Review of rollout deep\n")
        assert "rolled back" in text
        code, out, _ = await run(capsys, served, "history", "--json")
        assert json.loads(out)["events"][0]["number"] == 1


async def test_outcomes_are_exit_codes(tmp_path, capsys):
    """0 promoted, 3 rolled back."""
    async with controlled(tmp_path) as served:
        await run(capsys, served, "start")
        assert (await run(capsys, served, "promote", "--reason", "we must"))[0] == 0
        assert (await run(capsys, served, "status", "deep"))[0] == 0
        await run(capsys, served, "abort")
        code, _, _ = await run(capsys, served, "status", "--watch", "--timeout", "20s")
        assert code == 3
        assert (await run(capsys, served, "status", "deep"))[0] == 3


async def test_a_watch_ends_with_the_outcome(tmp_path, capsys):
    """It prints each move as it is made and ends by itself."""
    async with controlled(tmp_path) as served:
        watching = asyncio.create_task(run(capsys, served, "start", "--watch"))
        while served.rollouts.held["deep"].state.phase != "baking":
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.5)
        await served.do("abort", "it smells")
        code, out, _ = await watching
        assert code == 3
        assert "abort: baking -> rolling_back by ann: it smells" in out
        assert out.splitlines()[-1] == "deep: rolled_back: every host serves the stable version (exit code 3)"


async def test_a_watch_for_machines_is_json_lines(tmp_path, capsys):
    """The last one is the outcome."""
    async with controlled(tmp_path) as served:
        await served.do("start")
        watching = asyncio.create_task(run(capsys, served, "status", "--watch", "--json"))
        await asyncio.sleep(0.5)
        await served.do("abort")
        code, out, _ = await watching
        lines = [json.loads(line) for line in out.splitlines()]
        assert code == 3
        assert [line.get("event") for line in lines] == ["abort", "done", None]
        assert (lines[-1]["outcome"], lines[-1]["exit_code"]) == ("rolled_back", 3)


async def test_a_watch_whose_time_is_up_is_inconclusive(tmp_path, capsys):
    """Exit code 5; the rollout goes on."""
    async with controlled(tmp_path) as served:
        await served.do("start")
        assert (await run(capsys, served, "status", "--watch", "--timeout", "0.2s"))[0] == 5
        assert served.rollouts.held["deep"].state.phase == "baking"


async def test_a_closed_gate_has_its_own_exit_code(tmp_path, capsys):
    """4, with the reason."""
    async with controlled(tmp_path) as served:
        served.rollouts.people.preflight = closed("the last rollback drill is 100 days old")
        code, _, err = await run(capsys, served, "start")
        assert (code, err) == (4, "the last rollback drill is 100 days old\n")
        assert (await run(capsys, served, "status", "deep"))[0] == 4
        code, out, _ = await run(capsys, served, "start", "--json")
        assert (code, json.loads(out)["error"]["type"]) == (4, "gate_refused")


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["pause"], 2, "the server has several rollouts, say which: deep, other"),
        (["pause", "none"], 2, "there is no rollout 'none' here; there are: deep, other"),
        (["resume", "deep"], 1, "rollout 'deep' is draft: it cannot resume"),
        (["promote", "deep"], 1, "'promote' passes over the judge: say why"),
        (["start", "deep", "--if-version", "7"], 1, "rollout 'deep' is at version 1, not 7"),
        (["start", "deep", "--key", "env:NOT_THERE"], 2, "--key env:NOT_THERE: "),
        (["report", "deep", "--output", "/nowhere/review.md"], 2, "/nowhere/review.md: cannot be written"),
    ],
)
async def test_what_cannot_be_done_is_said(tmp_path, capsys, words, code, told):
    """The place and the remedy, on standard error."""
    async with controlled(tmp_path, ROLLOUT, OTHER) as served:
        found, out, err = await run(capsys, served, *words)
        assert (found, out) == (code, "")
        assert told in err


async def test_a_server_that_goes_is_waited_for(tmp_path, capsys, monkeypatch):
    """For a while; then the watch fails and says so."""
    monkeypatch.setattr("twospeed.cli.delivery.GONE", 0.5)
    async with controlled(tmp_path) as served:
        await served.do("start")
        watching = asyncio.create_task(run(capsys, served, "status", "--watch"))
        await asyncio.sleep(0.5)
    code, _, err = await watching
    assert code == 1
    assert "the server has gone; waiting for it" in err
