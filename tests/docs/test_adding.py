"""docs/adding.md: the examples work and the files it names are there."""

import re
from collections.abc import Sequence
from pathlib import Path
from textwrap import dedent
from typing import Literal

from twospeed.config import read
from twospeed.policy.breaker import Health
from twospeed.types import Settings

ROOT = Path(__file__).parent.parent.parent
TEXT = (ROOT / "docs/adding.md").read_text()


def block(language):
    """The one block of a language."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)
    return dedent(found)


def test_the_provider_is_good_configuration():
    """Copied as it stands, it serves."""
    loaded = read(block("yaml").encode(), "f", {"ACME_API_KEY": "k"})
    assert list(loaded.catalogue.backends) == ["acme/coder-large@default"]


def test_the_rank_orders():
    """Copied as it stands, it sorts."""
    names = {"Settings": Settings, "Literal": Literal, "Sequence": Sequence, "Health": Health}
    exec(block("python"), names)
    assert names["Rank"]().order(["long", "b"], None, "") == ["b", "long"]


def test_files_exist():
    """Each path named is there, from the root, from the package or from the tests."""
    for path in re.findall(r"`([\w/]+(?:\.py|\.json|\.yaml|/))`", TEXT):
        places = [ROOT / path, ROOT / "src/twospeed" / path]
        assert any(place.exists() for place in places), path
