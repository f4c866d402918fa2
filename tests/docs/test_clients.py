"""docs/clients.md: how sessions are found is how the code finds them."""

import re
from itertools import pairwise
from pathlib import Path

from twospeed.dialects.identity import declared
from twospeed.policy.session import identify

ROOT = Path(__file__).parent.parent.parent
TEXT = (ROOT / "docs/clients.md").read_text()


def test_headers_are_listed_in_order_of_trust():
    """Of two headers the one further up the list counts; all ten do."""
    headers = [name.encode() for name in re.findall(r"^\d+\. `([a-z_-]+)`", TEXT, re.MULTILINE)]
    assert len(headers) == 10
    for stronger, weaker in pairwise(headers):
        found = identify("ann", {stronger: b"one", weaker: b"two"}, None, ())
        assert found == identify("ann", {stronger: b"one"}, None, ())
        assert found.source == stronger.decode()


def test_a_title_belongs_to_its_conversation():
    """As the document says of Kilo."""
    assert "prefix `title-`" in TEXT
    assert identify("ann", {b"x-session-id": b"title-7"}, None, ()) == identify(
        "ann", {b"x-session-id": b"7"}, None, ()
    )


def test_the_body_comes_after_the_headers():
    """First the cache key, then metadata; a header wins over both."""
    found = declared(b'"k"', b'{"session_id":"m"}')
    assert found.source == "prompt_cache_key"
    assert identify("ann", {b"x-model-affinity": b"a"}, found, ()).source == "x-model-affinity"
    assert identify("ann", {}, found, ()).source == "prompt_cache_key"
    assert identify("ann", {}, None, (b"system", b"first")).source == "opening"
