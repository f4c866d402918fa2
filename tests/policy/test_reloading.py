"""How changes of the configuration come into force."""

import pytest
from pydantic import ValidationError

from twospeed.policy.reloading import Reload


def test_a_change_is_seen_and_a_broken_file_survived():
    """Both are on unless the operator says otherwise."""
    assert Reload() == Reload(watch=True, last_good=True)


def test_a_misspelt_key_is_refused():
    """As everywhere in the file."""
    with pytest.raises(ValidationError):
        Reload(wach=False)
