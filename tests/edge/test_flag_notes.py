"""Flags of the config file in the ledger."""

from types import SimpleNamespace

from twospeed.edge.flag_notes import note_flags
from twospeed.policy.flags import Flag


def loaded(version, **tiers):
    """A configuration with a flag for each of these."""
    flags = [Flag.model_validate({"id": name, "set": {"tier": tier}}) for name, tier in tiers.items()]
    return SimpleNamespace(version=version, config=SimpleNamespace(flags=flags))


class Noted(list):
    """A ledger."""

    def enter(self, entry, evidence=None):
        self.append((entry.subject, entry.event, entry.actor, bool(entry.key)))


def test_a_start_enters_each_flag_once_for_a_file():
    """They have a key by the version of the file, so that a restart enters nothing twice."""
    ledger = Noted()
    note_flags(ledger, None, loaded("v1", a="fast"))
    assert ledger == [("a", "set", "config", True)]


def test_a_reload_enters_what_it_changes():
    """Set, changed and removed; what stays is nothing new."""
    ledger = Noted()
    note_flags(ledger, loaded("v1", a="fast", b="fast", c="deep"), loaded("v2", a="deep", b="fast", d="fast"))
    assert ledger == [("a", "set", "config", False), ("c", "removed", "config", False), ("d", "set", "config", False)]
