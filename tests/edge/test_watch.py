"""The watched config file."""

import asyncio
import os

import pytest

from twospeed.edge.watch import Watch, watching


@pytest.fixture
def file(tmp_path):
    """A config file as it was read."""
    path = tmp_path / "c.yaml"
    path.write_bytes(b"one")
    return path


def test_a_change_is_told_once_it_is_at_rest(file):
    """Half-written files are left alone; a finished one is told once."""
    watch = Watch(str(file), lambda: b"one")
    assert [watch.changed() for _ in range(3)] == [False, False, False]
    file.write_bytes(b"tw")
    assert watch.changed() is False
    file.write_bytes(b"two more")  # still being written
    assert watch.changed() is False
    assert [watch.changed() for _ in range(3)] == [True, False, False]


def test_a_change_before_the_first_look_is_found(file):
    """What was changed while the server started counts too."""
    watch = Watch(str(file), lambda: b"an older text")
    assert [watch.changed() for _ in range(3)] == [False, True, False]


def test_a_touched_file_is_no_change(file):
    """The contents decide."""
    watch = Watch(str(file), lambda: b"one")
    watch.changed(), watch.changed()
    os.utime(file, (1, 1))
    assert [watch.changed() for _ in range(3)] == [False, False, False]


def test_a_replaced_link_is_a_change(file, tmp_path):
    """Deployments swap what a name leads to; while it leads nowhere, nothing happens."""
    link, new = tmp_path / "link", tmp_path / "new.yaml"
    link.symlink_to(file)
    watch = Watch(str(link), lambda: b"one")
    watch.changed(), watch.changed()
    link.unlink()
    assert [watch.changed() for _ in range(2)] == [False, False]
    new.write_bytes(b"two")
    link.symlink_to(new)
    assert [watch.changed() for _ in range(3)] == [False, True, False]


async def test_the_reload_is_called_until_the_block_ends(file):
    """Reloads that wait are waited for; afterwards no task is left."""
    before = asyncio.all_tasks()
    called = asyncio.Event()

    async def reload() -> str:
        called.set()
        return ""

    async with watching(str(file), lambda: b"older", reload, every=0.001), asyncio.timeout(10):
        await called.wait()
    assert asyncio.all_tasks() == before
