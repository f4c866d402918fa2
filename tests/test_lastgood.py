"""The configuration that served last."""

import os

from twospeed.lastgood import MOST, keep, kept


def test_what_served_is_found_again(tmp_path):
    """The newest text of each config file, for the very path, however it is written."""
    folder, config = tmp_path / "state", tmp_path / "c.yaml"
    keep(folder, str(config), b"one")
    keep(folder, str(config), b"two")
    keep(folder, str(tmp_path / "other.yaml"), b"three")
    assert kept(folder, str(config)) == b"two"
    assert kept(folder, os.path.relpath(config)) == b"two"
    assert kept(folder, str(tmp_path / "unknown.yaml")) is None
    keep(folder, str(config), None)
    assert kept(folder, str(config)) is None


def test_nobody_else_can_read_it(tmp_path):
    """It says where the secrets are."""
    folder = tmp_path / "state"
    keep(folder, "c.yaml", b"text")
    (file,) = folder.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700


def test_old_ones_are_forgotten(tmp_path):
    """A folder of states does not grow for ever."""
    for number in range(MOST + 5):
        keep(tmp_path, f"{number}.yaml", b"text")
    assert len(list(tmp_path.iterdir())) == MOST
