"""What one host knows of rollouts, serves by and enters."""

from tests.control.driven import Host

from twospeed.policy.held import Missed
from twospeed.policy.rollout import Phase, Signal
from twospeed.stores.shelf import FileShelf


async def test_everything_is_entered(host):
    """The ledger hears of every move, in order."""
    await host.rollouts.people.act("r", Signal.START, "ann", "")
    assert [event for event, *_ in host.entered] == ["added", "start", "ready"]


async def test_two_hosts_see_one_rollout():
    """A signal given on either holds on both; only one decides."""
    one = Host()
    await one.look()
    other = Host(shelf=one.shelf)
    await other.look()
    await other.rollouts.people.act("r", Signal.START, "ann", "")
    assert (await one.rollouts._shelf.read())["r"].state.phase is Phase.BAKING


class Forgetful(FileShelf):
    """A store that keeps fewer moves than were made, once."""

    missed = False

    async def follow(self):
        """Say so."""
        if self.missed:
            self.missed = False
            raise Missed
        return await super().follow()


async def test_who_missed_too_much_reads_everything_anew(caplog):
    """And serves by what it finds."""
    shelf = Forgetful()
    one, other = Host(shelf=shelf), Host(shelf=shelf)
    for host in (one, other):
        await host.look()
    await other.rollouts.people.act("r", Signal.START, "ann", "")
    shelf.missed = True
    await one.look()
    assert "all are read anew" in caplog.text
    assert (one.phase, one.served[-1]) == (Phase.BAKING, {"r": 0.3})
