"""The ledger beside the event loop."""

import asyncio
import logging

import pytest

from twospeed.policy.audit import Entry
from twospeed.stores.ledger import Scribe
from twospeed.stores.ledger.file import Book


def entry(event):
    """An entry of one rollout."""
    return Entry(1.0, "rollout", "r", event)


@pytest.fixture
async def scribe(tmp_path):
    """A scribe that tries again soon."""
    scribe = Scribe(tmp_path / "ledger.db", again_after=0.01)
    yield scribe
    await scribe.close()


async def test_entries_are_written_in_order(scribe):
    """Entering returns at once; what was entered is then on the disk, in the order it came, with its evidence."""
    for event in ("start", "ready", "advance"):
        scribe.enter(entry(event), {"was": event})
    async with asyncio.timeout(10):
        assert await scribe.written()
    lines = await scribe.lines()
    assert [line.entry.event for line in lines] == ["start", "ready", "advance"]
    assert await scribe.evidence(lines[1].entry.evidence) == b'{"was":"ready"}'
    assert (await scribe.latest("rollout")).entry.event == "advance"
    assert await scribe.newest() == 3


async def test_what_is_left_is_written_when_the_server_stops(tmp_path):
    """The last entry before the end is not lost."""
    scribe = Scribe(tmp_path / "ledger.db")
    scribe.enter(entry("abort"))
    await scribe.close()
    assert [line.entry.event for line in Book(tmp_path / "ledger.db").lines()] == ["abort"]


async def test_a_place_that_cannot_be_written_is_told_of_once(tmp_path, caplog):
    """A clear warning that names the file and the remedy; nothing raises; entries are written when the place is mended."""
    blocked = tmp_path / "state"
    blocked.write_text("a file where the folder should be")
    scribe = Scribe(blocked / "ledger.db", again_after=0.01)
    with caplog.at_level(logging.WARNING):
        scribe.enter(entry("start"))
        scribe.enter(entry("ready"))
        assert not await scribe.written()
        assert await scribe.lines() == []
        await asyncio.sleep(0.05)
    told = [record.getMessage() for record in caplog.records if "CANNOT BE WRITTEN" in record.getMessage()]
    assert len(told) == 1
    assert str(blocked / "ledger.db") in told[0]
    assert "stores.ledger" in told[0]
    blocked.unlink()
    async with asyncio.timeout(10):
        while scribe.trouble:
            await asyncio.sleep(0.01)
    assert [line.entry.event for line in await scribe.lines()] == ["start", "ready"]
    await scribe.close()


async def test_a_full_disk_does_not_stop_anybody(scribe, monkeypatch):
    """While there is no room, entries wait in memory, a bounded number of them."""
    monkeypatch.setattr("twospeed.stores.ledger.scribe.WAITING", 3)
    scribe.enter(entry("first"))
    assert await scribe.written()

    def full(pairs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(scribe._book, "append", full)
    for number in range(5):
        scribe.enter(entry(str(number)))
    assert not await scribe.written()
    assert scribe.trouble == "no space left on device"
    assert scribe.dropped == 2
    monkeypatch.undo()
    async with asyncio.timeout(10):
        while scribe.trouble:
            await asyncio.sleep(0.01)
    assert [line.entry.event for line in await scribe.lines()] == ["first", "2", "3", "4"]
