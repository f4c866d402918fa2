"""The nouns that travel between rooms."""

import pytest
from pydantic import ValidationError

from twospeed.types import TIERS, Attempt, Backend, Record, Settings


class Block(Settings):
    """A block of the config file."""

    wait: float = 1.0


def test_settings_refuse_what_they_do_not_know():
    """A misspelt key is an error, not a setting without effect."""
    with pytest.raises(ValidationError):
        Block.model_validate({"wiat": 2.0})


def test_settings_cannot_be_changed():
    """A snapshot stays as it was checked."""
    with pytest.raises(ValidationError):
        Block().wait = 2.0


def test_a_record_names_the_backend_of_the_last_attempt():
    """Before the first attempt there is none."""
    record = Record(id="r1", started_at=0.0, started_wall=0.0, endpoint="/v1/chat/completions")
    assert record.backend == ""
    for model in ("a", "b"):
        record.attempts.append(Attempt(Backend("p", model, "eu", f"p/{model}@eu"), started_at=0.0))
    assert record.backend == "p/b@eu"


def test_there_are_two_tiers():
    """Two speeds."""
    assert TIERS == ("fast", "deep")
