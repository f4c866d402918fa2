"""What a leader decides: the judge's verdicts become moves, the file's changes too, and another leader goes on."""

import pytest
from tests.control.driven import Host, rollout
from tests.policy.judge.traffic import calls

from twospeed.policy.rollout import Phase, Signal
from twospeed.stores.shelf import FileShelf


async def started(*rollouts, shelf=None):
    host = Host(*rollouts, shelf=shelf)
    await host.look()
    await host.look()
    await host.rollouts.people.act("r", Signal.START, "ann", "")
    return host


async def test_a_bad_version_goes_back_by_itself():
    """Decided, served, and ended once every host serves the stable version; with the figures in the ledger."""
    host = await started()
    await host.see(calls(3_000, slower=3.0))
    assert host.phase is Phase.ROLLED_BACK
    assert host.served[-1] == {"r": 0.0}
    assert [event for event, *_ in host.entered][-2:] == ["fail", "done"]
    assert host.rollouts.progress("r").outcome == "fail"


async def test_fine_at_the_first_step_and_overloaded_at_the_second():
    """It is stopped where it shows."""
    host = await started()
    await host.see(calls(9_000, spread=0.3))
    assert (host.phase, host.held.state.step) == (Phase.BAKING, 1)
    later = [seen.__class__(**{**fields(seen), "ts": seen.ts + host.now}) for seen in calls(3_000, 0.6, 2.5, seed=2)]
    await host.see(later, step=1)
    assert (host.phase, host.held.state.step) == (Phase.ROLLED_BACK, 1)


def fields(seen):
    return {name: getattr(seen, name) for name in seen.__struct_fields__}


async def test_another_leader_goes_on_with_the_evidence(tmp_path):
    """A leader that is killed leaves its memory; the next one needs no second proof."""
    host = await started(shelf=FileShelf(tmp_path / "rollouts"))
    stream = list(calls(500))
    await host.see(stream[:250])
    before = sum(host.rollouts.progress("r").calls)
    assert (host.phase, before > 100) == (Phase.BAKING, True)
    await host.shelf.close()  # all that a kill does: the lock is gone
    other = Host(shelf=FileShelf(tmp_path / "rollouts"))
    await other.look(host.now)
    await other.see(stream[250:400])
    assert sum(other.rollouts.progress("r").calls) > before


async def test_a_rollout_that_leaves_the_file_is_aborted():
    """By the config file, with that reason."""
    host = await started()
    host.rollouts.configure([])
    await host.look()
    await host.look()
    assert ("abort", "baking", "rolling_back", "config") in host.entered


async def test_a_reload_keeps_steps_and_evidence():
    """Salt, passed steps and what was seen outlive a reload."""
    host = await started()
    await host.see(calls(200))
    seen = sum(host.rollouts.progress("r").calls)
    host.rollouts.configure([rollout(on_fail={"action": "pause"})])
    await host.look()
    await host.look(host.now + 1)
    assert host.held.settings["on_fail"] == {"action": "pause"}
    assert sum(host.rollouts.progress("r").calls) >= seen


async def test_hosts_that_still_serve_the_candidate_are_waited_for():
    """The end is said when all have said it, or when one has been silent for long."""
    host = await started()
    host.shelf.served = late = lambda: answer([{"r": 99}, {"r": 1}])
    await host.rollouts.people.act("r", Signal.ABORT, "ann", "")
    await host.look(host.now + 1)
    assert (host.phase, host.shelf.served is late) == (Phase.ROLLING_BACK, True)
    await host.look(host.now + 5)
    await host.look()
    assert host.phase is Phase.ROLLED_BACK


async def answer(value):
    return value


async def test_a_judge_that_paused_resumes_when_the_signal_recovers():
    """A signal metric pauses; what has recovered goes on by itself."""
    late = {"guard": [{"metric": "error_rate"}], "signal": [{"metric": "latency"}]}
    host = await started(rollout(**late))
    await host.see(calls(700, slower=3.0))
    assert (host.phase, host.held.paused) == (Phase.PAUSED, "judge")
    assert host.served[-1] == {"r": 0.3}


@pytest.mark.parametrize("signal", [Signal.PROMOTE, Signal.ABORT])
async def test_what_people_end_the_judge_leaves_alone(signal):
    """Nothing moves after that, whatever is seen."""
    host = await started()
    await host.rollouts.people.act("r", signal, "ann", "because")
    for _ in range(3):
        await host.look(host.now + 10)
    version = host.held.version
    await host.see(calls(500, slower=5.0))
    assert host.held.version == version
