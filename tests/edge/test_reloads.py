"""What a reload says and counts."""

import logging

import pytest
from tests.serving import TWO_FAST

from twospeed.config import Loaded, read
from twospeed.edge.reloads import Reloads, lasting


class File:
    """A config file that is changed now and then."""

    def __init__(self) -> None:
        self.text = TWO_FAST

    def load(self) -> Loaded:
        return read(self.text.encode(), "c.yaml", {})


def test_a_good_file_is_returned_and_counted(caplog):
    """It is counted once it is in force; the log says so without alarm."""
    caplog.set_level(logging.INFO, "twospeed")
    file = File()
    reloads = Reloads(file.load, file.load())
    loaded = reloads.read()
    assert isinstance(loaded, Loaded)
    reloads.done(loaded)
    assert reloads.counts == {"ok": 1, "refused": 0}
    assert [(record.levelname, record.message) for record in caplog.records] == [("INFO", "configuration reloaded")]
    assert reloads.waiting == []


def test_a_bad_file_is_refused_with_all_its_problems(caplog):
    """The caller is told what the log says."""
    file = File()
    reloads = Reloads(file.load, file.load())
    file.text = "tiers: 3\n"
    wrong = reloads.read()
    assert isinstance(wrong, str)
    assert wrong in caplog.text
    assert "stays in force" in caplog.text
    assert reloads.counts == {"ok": 0, "refused": 1}


@pytest.mark.parametrize(
    ("added", "kept"),
    [
        ("breaker: {open: 7s}", []),
        ("admin: {key: 'sha256:" + "ab" * 32 + "'}", []),
        ("admin: {port: 1}", ["admin"]),
        ("stores: {redis: {url: 'redis://h'}}", ["stores"]),
    ],
)
def test_what_takes_a_restart_is_named(added: str, kept: list[str]):
    """Ports and stores are opened once; nobody should believe otherwise."""
    before = read(TWO_FAST.encode(), "c.yaml", {})
    after = read(f"{TWO_FAST}{added}\n".encode(), "c.yaml", {})
    assert lasting(before.config, after.config) == kept


def test_a_change_of_the_listener_is_told_with_the_reload(caplog):
    """The line names the keys; those that are read anew are not among them."""
    file = File()
    reloads = Reloads(file.load, file.load())
    file.text = TWO_FAST.replace("{port: 0}", "{port: 1, host: localhost, drain: 1s}")
    loaded = reloads.read()
    assert isinstance(loaded, Loaded)
    reloads.done(loaded)
    assert caplog.messages[-1] == "listen.host, listen.port: as before, a change there takes a restart"


def test_what_is_in_force_is_kept():
    """Whoever keeps it for the next start hears of each configuration that came into force, and of no other."""
    file, kept = File(), []
    reloads = Reloads(file.load, file.load())
    reloads.keep = kept.append
    loaded = reloads.read()
    assert isinstance(loaded, Loaded)
    reloads.done(loaded)
    file.text = "tiers: 3\n"
    reloads.read()
    assert kept == [loaded]
