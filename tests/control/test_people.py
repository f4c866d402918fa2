"""What people ask for: signals, drills, flags; done once, served at once, refused in words."""

import pytest
from tests.control.driven import Host, rollout

from twospeed.policy import drilling
from twospeed.policy.held import Denied
from twospeed.policy.rollout import Phase, Signal


async def test_a_signal_is_served_before_it_is_answered(host):
    """Whoever says start, and hears that it was done, finds it done."""
    held = await host.rollouts.people.act("r", Signal.START, "ann", "a new version")
    assert (held.state.phase, held.actor, held.reason) == (Phase.BAKING, "ann", "the gates are open")
    assert host.served[-1] == {"r": 0.3}
    await host.rollouts.people.act("r", Signal.ABORT, "ann", "oops")
    assert host.served[-1] == {"r": 0.0}
    await host.look()
    await host.look()
    assert host.phase is Phase.ROLLED_BACK


async def test_a_signal_said_twice_is_done_once(host):
    """The second finds it done; nothing moves, and no version is spent."""
    first = await host.rollouts.people.act("r", Signal.START, "ann", "")
    assert await host.rollouts.people.act("r", Signal.START, "bob", "") == first
    await host.rollouts.people.act("r", Signal.PAUSE, "ann", "")
    assert (await host.rollouts.people.act("r", Signal.PAUSE, "ann", "")).version == first.version + 1


@pytest.mark.parametrize(
    ("name", "signal", "expect", "why"),
    [
        ("other", Signal.START, None, "unknown"),
        ("r", Signal.START, 7, "conflict"),
        ("r", Signal.RESUME, None, "impossible"),
        ("r", Signal.ADVANCE, None, "impossible"),
    ],
)
async def test_what_cannot_be_done_is_said(host, name, signal, expect, why):
    """No such rollout, moved meanwhile, not in this phase, not for people."""
    with pytest.raises(Denied) as denied:
        await host.rollouts.people.act(name, signal, "ann", "", expect)
    assert denied.value.why == why


async def test_a_closed_gate_refuses_at_once():
    """Without a drill nothing begins where the operator wants one; the reason is kept."""
    host = Host(rollout(gates=[{"drill_age": "90d"}]))
    await host.look()
    with pytest.raises(Denied, match="drill") as denied:
        await host.rollouts.people.act("r", Signal.START, "ann", "")
    assert denied.value.why == "refused"
    assert (host.phase, host.held.state.refused) == (Phase.DRAFT, True)


async def test_a_drill_begins_whatever_the_gates_say(host):
    """At its step at once, one at a time; the next is another attempt; it is known only while it is under way."""
    drill = drilling.rollout({}, [rollout()])
    for attempt in (1, 2):
        held = await host.rollouts.people.drill(drill, "ann", "a drill")
        assert (held.state.phase, held.state.share, held.state.attempt) == (Phase.BAKING, 0.5, attempt)
        assert host.served[-1]["drill"] == 0.5
        with pytest.raises(Denied, match="under way"):
            await host.rollouts.people.drill(drill, "bob", "")
        await host.rollouts.people.act("drill", Signal.ABORT, "ann", "")
        await host.look()
        await host.look()
        assert list(host.rollouts.held) == ["r"]


async def test_flags_are_kept_beside_the_rollouts(host):
    """With a version of their own; they are served, and are no rollout."""
    assert host.rollouts.flags == ({}, 0)
    flag = {"id": "calm", "set": {"tier": "fast"}}
    assert await host.rollouts.people.turn("calm", flag, "ann", "slow", expect=0) == 1
    assert await host.rollouts.people.turn("calm", flag, "bob", "the same") == 1
    assert host.rollouts.flags == ({"calm": flag}, 1)
    assert "flags" in host.served[-1]
    assert list(host.rollouts.held) == ["r"]
    with pytest.raises(Denied, match="at version 1, not 0"):
        await host.rollouts.people.turn("calm", None, "ann", "", expect=0)
    assert await host.rollouts.people.turn("calm", None, "ann", "better", expect=1) == 2
    assert host.rollouts.flags == ({}, 2)
