"""Which keys may stand where."""

from pydantic import SecretStr

from twospeed import shape
from twospeed.config import Config
from twospeed.policy.plan import Deadlines, TierSettings
from twospeed.policy.rank.weighted import Rank as Weighted
from twospeed.upstream import Model, OpenAiProvider, SimulatedProvider

VALUE = {
    "keys": [{"name": "ann", "key": "env:A"}, {"name": "bob"}],
    "providers": {
        "real": {"kind": "openai", "key": "env:B", "models": {"m": {}}},
        "sim": {"kind": "simulated"},
        "odd": {},
    },
    "tiers": {"fast": {"rank": {"kind": "weighted"}}},
    "admin": {"key": None},
}


def owner(*path):
    """The class that reads the block at a path of VALUE."""
    return shape.block(*shape.at(Config, VALUE, path))


def test_a_block_is_read_with_the_class_of_its_place():
    """Names of the operator's choice, lists and optional blocks are passed through."""
    assert owner() is Config
    assert owner("tiers", "fast", "timeouts") is Deadlines
    assert owner("providers", "real", "models", "m") is Model


def test_of_several_classes_the_kind_decides():
    """Each kind of provider and each rank has keys of its own; without a kind there is no telling."""
    assert owner("providers", "real") is OpenAiProvider
    assert owner("providers", "sim") is SimulatedProvider
    assert owner("providers", "odd") is None
    assert owner("tiers", "fast", "rank") is Weighted


def test_a_path_out_of_the_settings_leads_nowhere():
    """Unknown keys have no class."""
    assert shape.at(Config, VALUE, ("nothing", "here", 3)) == (None, None)
    assert owner("keys", 0, "name") is None


def test_secrets_are_found_wherever_they_stand():
    """Whatever the settings call a secret, as far as it is written in the file."""
    assert list(shape.secrets(Config, VALUE)) == [("keys", 0, "key"), ("providers", "real", "key")]


def test_entries_list_every_key_once_per_place():
    """The walk that reference and suggestions are made from misses nothing."""
    paths = [entry.path for entry in shape.entries(Config)]
    assert ("tiers", "fast", "timeouts", "idle") in paths
    assert ("tiers", "deep", "timeouts", "idle") in paths
    assert ("keys", shape.ANY_PLACE, "key") in paths
    assert ("providers", shape.ANY_KEY, "simulate", "faults", shape.ANY_PLACE, "share") in paths


def test_a_union_is_taken_apart():
    """`SecretStr | None` may be a SecretStr."""
    assert shape.alternatives(SecretStr | None) == (SecretStr,)


def test_a_key_is_described_by_the_sentences_below_it():
    """Inherited keys too; what is passed to Field wins."""
    assert shape.description(OpenAiProvider, "base_url").startswith("Address up to and including the version")
    assert shape.description(SimulatedProvider, "region").startswith("Where it runs")
    assert shape.description(TierSettings, "rank") == "How to order the backends that can serve."
