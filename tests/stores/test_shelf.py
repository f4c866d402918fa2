"""Rollouts kept by one process: in memory, and in a file that outlives it."""

import asyncio

import pytest
from tests.stores.shelves import Shelves, story

from twospeed.policy.rollout import Phase, Signal
from twospeed.stores.shelf import FileShelf


@pytest.fixture
def woken():
    return asyncio.Event()


@pytest.fixture
async def shelf(tmp_path, woken):
    one = FileShelf(tmp_path / "state" / "rollouts")
    await one.start(woken.set)
    yield one
    await one.close()


class TestFileShelf(Shelves):
    """A file keeps every promise."""

    async def test_a_process_that_was_killed_left_everything(self, shelf, tmp_path):
        """Nothing need be closed: states, the judge's memory and the latest moves are in the file."""
        for move in story(Signal.START, Signal.READY):
            await shelf.put(move)
        await shelf.keep("r", b"memory", b"progress", 1)
        await shelf.close()
        again = FileShelf(tmp_path / "state" / "rollouts")
        await again.start(lambda: None)
        assert (await again.read())["r"].state.phase is Phase.BAKING
        assert [move.held.version for move in await again.follow()] == [1, 2, 3]
        assert await again.kept("r") == b"memory"
        await again.close()

    async def test_two_processes_never_write_one_file(self, shelf, tmp_path):
        """The second keeps its rollouts to itself."""
        await shelf.put(story()[0])
        second = FileShelf(tmp_path / "state" / "rollouts")
        await second.start(lambda: None)
        assert await second.read() == {}
        await second.put(story()[0])
        assert (tmp_path / "state" / "rollouts").stat().st_mode & 0o777 == 0o600
        await second.close()

    async def test_a_file_that_cannot_be_understood_is_put_aside(self, tmp_path, caplog):
        """Rollouts begin as drafts, and somebody can look at the file."""
        (tmp_path / "rollouts").write_bytes(b"not msgpack \xc1")
        one = FileShelf(tmp_path / "rollouts")
        await one.start(lambda: None)
        assert await one.read() == {}
        assert "rollouts begin as drafts" in caplog.text
        assert (tmp_path / "rollouts.unreadable").exists()
        await one.close()

    async def test_a_file_that_cannot_be_put_aside_stops_nobody(self, tmp_path, caplog):
        """It is said, and rollouts begin as drafts."""
        (tmp_path / "rollouts").write_bytes(b"not msgpack \xc1")
        (tmp_path / "rollouts.unreadable" / "taken").mkdir(parents=True)
        one = FileShelf(tmp_path / "rollouts")
        await one.start(lambda: None)
        assert await one.read() == {}
        assert "could not be put aside" in caplog.text
        await one.close()

    async def test_a_folder_that_cannot_be_written_is_told(self, tmp_path, caplog):
        """Once; rollouts go on in memory."""
        (tmp_path / "file").write_text("")
        one = FileShelf(tmp_path / "file" / "rollouts")
        await one.start(lambda: None)
        assert await one.put(story()[0])
        assert "could not be written" in one.trouble
        assert caplog.text.count("rollouts do not outlive this process") == 1
        await one.close()

    async def test_of_too_much_the_oldest_is_dropped_and_counted(self):
        """Memory is bounded."""
        one = FileShelf(room=2)
        await one.report([b"a", b"b", b"c"])
        assert await one.collect("") == ("", [b"b", b"c"], 1)
