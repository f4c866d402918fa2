"""The rollouts of one host: signals of people, what is served, what is told, and a store that may be away."""

import asyncio
import logging

import pytest
from tests.control.driven import Host, rollout

from twospeed.policy import drilling
from twospeed.policy.held import Away, Denied
from twospeed.policy.rollout import Phase, Signal


@pytest.fixture
async def host():
    one = Host()
    await one.look()
    await one.look()
    return one


async def test_a_rollout_of_the_file_is_a_draft(host):
    """It is known, and nothing is served by it."""
    assert host.phase is Phase.DRAFT
    assert host.served[-1] == {}


async def test_a_signal_is_served_before_it_is_answered(host):
    """Whoever says start, and hears that it was done, finds it done."""
    held = await host.rollouts.act("r", Signal.START, "ann", "a new version")
    assert (held.state.phase, held.actor, held.reason) == (Phase.BAKING, "ann", "the gates are open")
    assert host.served[-1] == {"r": 0.3}
    await host.rollouts.act("r", Signal.ABORT, "ann", "oops")
    assert host.served[-1] == {"r": 0.0}
    await host.look()
    await host.look()
    assert host.phase is Phase.ROLLED_BACK


async def test_a_signal_said_twice_is_done_once(host):
    """The second finds it done; nothing moves, and no version is spent."""
    first = await host.rollouts.act("r", Signal.START, "ann", "")
    assert await host.rollouts.act("r", Signal.START, "bob", "") == first
    await host.rollouts.act("r", Signal.PAUSE, "ann", "")
    assert (await host.rollouts.act("r", Signal.PAUSE, "ann", "")).version == first.version + 1


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
        await host.rollouts.act(name, signal, "ann", "", expect)
    assert denied.value.why == why


async def test_a_closed_gate_refuses_at_once():
    """Without a drill nothing begins where the operator wants one; the reason is kept."""
    host = Host(rollout(gates=[{"drill_age": "90d"}]))
    await host.look()
    with pytest.raises(Denied, match="drill") as denied:
        await host.rollouts.act("r", Signal.START, "ann", "")
    assert denied.value.why == "refused"
    assert (host.phase, host.held.state.refused) == (Phase.DRAFT, True)


async def test_everything_is_entered_and_told(host):
    """The ledger and whoever listens hear of every move, in order."""
    with host.rollouts.subscribe() as queue:
        await host.rollouts.act("r", Signal.START, "ann", "")
        told = [queue.get_nowait().signal for _ in range(queue.qsize())]
    assert told == ["start", "ready"]
    assert [event for event, *_ in host.entered] == ["added", "start", "ready"]


async def test_two_hosts_see_one_rollout():
    """A signal given on either holds on both; only one decides."""
    one = Host()
    await one.look()
    other = Host(shelf=one.shelf)
    await other.look()
    await other.rollouts.act("r", Signal.START, "ann", "")
    assert (await one.rollouts._shelf.read())["r"].state.phase is Phase.BAKING


class Gone:
    """A store that does not answer."""

    def __init__(self, shelf):
        self._shelf = shelf
        self.gone = False

    def __getattr__(self, name):
        if self.gone and name not in ("start", "close"):
            raise Away("timeout")
        return getattr(self._shelf, name)


async def test_without_its_store_a_host_serves_on_as_it_did(caplog):
    """Shares stay, nothing is decided, signals are refused with the reason; then it goes on."""
    host = Host()
    host.shelf = host.rollouts._shelf = host.rollouts._leading._shelf = gone = Gone(host.shelf)
    await host.look()
    await host.rollouts.act("r", Signal.START, "ann", "")
    before = list(host.served)
    gone.gone = True
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            await host.look(host.now + 9_999)
    assert (host.served, host.rollouts.away, host.rollouts.leading) == (before, "timeout", False)
    assert len([line for line in caplog.messages if "stay as they are" in line]) == 1
    with pytest.raises(Denied) as denied:
        await host.rollouts.act("r", Signal.ABORT, "ann", "")
    assert denied.value.why == "away"
    gone.gone = False
    await host.look()
    assert (host.rollouts.away, host.rollouts.leading) == ("", True)


async def test_a_bug_ends_one_look_and_is_told_once(caplog):
    """Rollouts are looked after on, whatever one look ran into."""
    host = Host()
    await host.look()
    looked = []

    async def broken():
        looked.append(1)
        raise KeyError("bug")

    host.rollouts._turn = broken
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            await host.rollouts._watched()
    assert (len(looked), len([line for line in caplog.messages if line.startswith("bug")])) == (3, 1)


async def test_run_begins_with_the_first_rollout_of_the_file():
    """Nothing is opened before a file names one."""
    host = Host()
    host.rollouts.configure([])
    running = asyncio.create_task(host.rollouts.run())
    await asyncio.sleep(0)
    assert not host.rollouts._started
    host.rollouts.configure([rollout()])
    async with asyncio.timeout(10):
        while not host.rollouts.held:
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert host.phase is Phase.DRAFT


async def test_a_reload_keeps_the_target_of_what_has_begun(host, caplog):
    """And says so."""
    await host.rollouts.act("r", Signal.START, "ann", "")
    with caplog.at_level(logging.WARNING):
        host.rollouts.configure([rollout(target={"alias": "coder", "stable": "sim/old", "candidate": "sim/newer"})])
    assert "target stays" in caplog.text
    await host.look()
    assert host.held.settings["target"]["candidate"] == "sim/new"


async def test_a_drill_begins_whatever_the_gates_say(host):
    """At its step at once, one at a time; the next is another attempt; it is known only while it is under way."""
    drill = drilling.rollout({}, [rollout()])
    for attempt in (1, 2):
        held = await host.rollouts.drill(drill, "ann", "a drill")
        assert (held.state.phase, held.state.share, held.state.attempt) == (Phase.BAKING, 0.5, attempt)
        assert host.served[-1]["drill"] == 0.5
        with pytest.raises(Denied, match="under way"):
            await host.rollouts.drill(drill, "bob", "")
        await host.rollouts.act("drill", Signal.ABORT, "ann", "")
        await host.look()
        await host.look()
        assert list(host.rollouts.held) == ["r"]


async def test_a_drill_that_nobody_ends_is_ended(host):
    """Whoever began it may have been killed."""
    await host.rollouts.drill(drilling.rollout({}, [rollout()]), "ann", "a drill")
    await host.look(now=59.0)
    assert host.rollouts.held["drill"].state.phase is Phase.BAKING
    for _ in range(3):
        await host.look(now=61.0)
    assert "drill" not in host.rollouts.held


async def test_flags_are_kept_beside_the_rollouts(host):
    """With a version of their own; they are served, and are no rollout."""
    assert host.rollouts.flags == ({}, 0)
    flag = {"id": "calm", "set": {"tier": "fast"}}
    assert await host.rollouts.turn("calm", flag, "ann", "slow", expect=0) == 1
    assert await host.rollouts.turn("calm", flag, "bob", "the same") == 1
    assert host.rollouts.flags == ({"calm": flag}, 1)
    assert "flags" in host.served[-1]
    assert list(host.rollouts.held) == ["r"]
    with pytest.raises(Denied, match="at version 1, not 0"):
        await host.rollouts.turn("calm", None, "ann", "", expect=0)
    assert await host.rollouts.turn("calm", None, "ann", "better", expect=1) == 2
    assert host.rollouts.flags == ({}, 2)
