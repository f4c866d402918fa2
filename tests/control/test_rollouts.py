"""The rollouts of one host: signals of people, what is served, what is told, and a store that may be away."""

import asyncio
import logging

import pytest
from tests.control.driven import Host, rollout

from twospeed.policy import drilling
from twospeed.policy.held import Away, Denied
from twospeed.policy.rollout import Phase, Signal
from twospeed.stores.shelf import FileShelf


async def test_a_rollout_of_the_file_is_a_draft(host):
    """It is known, and nothing is served by it."""
    assert host.phase is Phase.DRAFT
    assert host.served[-1] == {}


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
    gone = Gone(FileShelf())
    host = Host(shelf=gone)
    await host.look()
    await host.rollouts.people.act("r", Signal.START, "ann", "")
    before = list(host.served)
    gone.gone = True
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            await host.look(host.now + 9_999)
    assert (host.served, host.rollouts.away, host.rollouts.leading) == (before, "timeout", False)
    assert len([line for line in caplog.messages if "stay as they are" in line]) == 1
    with pytest.raises(Denied) as denied:
        await host.rollouts.people.act("r", Signal.ABORT, "ann", "")
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
    await host.rollouts.people.act("r", Signal.START, "ann", "")
    with caplog.at_level(logging.WARNING):
        host.rollouts.configure([rollout(target={"alias": "coder", "stable": "sim/old", "candidate": "sim/newer"})])
    assert "target stays" in caplog.text
    await host.look()
    assert host.held.settings["target"]["candidate"] == "sim/new"


async def test_a_drill_that_nobody_ends_is_ended(host):
    """Whoever began it may have been killed."""
    await host.rollouts.people.drill(drilling.rollout({}, [rollout()]), "ann", "a drill")
    await host.look(now=59.0)
    assert host.rollouts.held["drill"].state.phase is Phase.BAKING
    for _ in range(3):
        await host.look(now=61.0)
    assert "drill" not in host.rollouts.held
