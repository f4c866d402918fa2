"""What a supervisor and its workers have in common."""

import os
import stat
from pathlib import Path

from twospeed.edge import crew
from twospeed.edge.crew import Crew, gathered
from twospeed.policy.limit import Ask, Limit, Refusal
from twospeed.stores.shared import SharedLimits


def test_the_folder_is_private_and_goes_with_its_owner():
    """Nobody else may look into it, and nothing is left behind."""
    with gathered(b"text") as found:
        assert stat.S_IMODE(os.stat(found.folder).st_mode) == 0o700
    assert not found.folder.exists()


def test_the_text_in_force_is_not_always_the_first():
    """A worker that starts later gets what was published last."""
    with gathered(b"one") as found:
        assert (found.first(), found.text()) == (b"one", b"one")
        found.publish(b"two")
        assert (found.first(), found.text()) == (b"one", b"two")


async def test_workers_find_the_same_tables():
    """What one has taken the other cannot."""
    with gathered(b"") as found:
        one, other = found.host(0, 2), Crew(found.folder).host(1, 2)
        assert (one.name, one.workers, other.worker) == (other.name, 2, 1)
        ask = Ask("p/m", Limit(rpm=1), 0, 0)
        await SharedLimits(one.tables.pools, 0, lambda: 100.0).take(ask)
        assert isinstance(await SharedLimits(other.tables.pools, 1, lambda: 100.0).take(ask), Refusal)


def test_an_orphan_can_clear_up():
    """Twice does no harm, and neither does the owner after all."""
    with gathered(b"") as found:
        found.scatter()
        found.scatter()
        assert not found.folder.exists()


def test_without_room_in_memory_the_disk_will_do(monkeypatch, tmp_path):
    """A host with little shared memory, or none, uses the usual place for temporary files."""
    monkeypatch.setattr(crew, "ROOM", 1 << 60)
    with gathered(b"") as found:
        assert Path("/dev/shm") not in found.folder.parents
    monkeypatch.setattr(crew, "MEMORY", tmp_path / "nowhere")
    with gathered(b"") as found:
        assert found.text() == b""


def test_who_starts_late_finds_the_states_of_rollouts():
    """Those that all the others serve by; none before there are any."""
    with gathered(b"") as found:
        assert found.held() == b""
        for states in (b"first", b"second"):
            found.stand(states)
        assert Crew(found.folder).held() == b"second"
