"""The list of models, in both shapes."""

import json

from twospeed.config import read
from twospeed.edge.models import listing, one
from twospeed.policy.access import Caller

CATALOGUE = read(
    b"""
providers:
  p: {kind: simulated, models: {small: {context: 10k}, large: {context: 200k, images: true}}}
models: {gpt: [p/small, p/large], "gpt-*": auto}
tiers: {fast: {models: [p/small]}, deep: {models: [p/large]}}
""",
    "f",
    {},
).catalogue
ANYONE, FAST = Caller("a", b"", ["*"]), Caller("b", b"", ["fast", "p/small"])


def test_openais_shape_has_windows_and_tiers():
    """Agents compact their history by the window they are told."""
    rows = {row["id"]: row for row in json.loads(listing(CATALOGUE, ANYONE, {}))["data"]}
    assert {name: (row["tier"], row["context_window"], row["images"]) for name, row in rows.items()} == {
        "auto": ("auto", 200_000, True),
        "fast": ("fast", 10_000, False),
        "deep": ("deep", 200_000, True),
        "gpt": ("fast", 200_000, True),
        "p/small": ("fast", 10_000, False),
        "p/large": ("deep", 200_000, True),
    }


def test_anthropics_shape_for_who_asks_so():
    """The header anthropic-version tells."""
    told = json.loads(listing(CATALOGUE, ANYONE, {b"anthropic-version": b"2023-06-01"}))
    assert (told["has_more"], told["first_id"], told["last_id"]) == (False, "auto", "p/large")
    assert told["data"][1]["type"] == "model"
    assert told["data"][1]["max_input_tokens"] == 10_000


def test_only_what_the_key_may_use():
    """Names a caller may not use are not there, one by one either."""
    assert [row["id"] for row in json.loads(listing(CATALOGUE, FAST, {}))["data"]] == ["fast", "p/small"]
    assert one("deep", CATALOGUE, FAST, {}) is None
    assert json.loads(one("fast", CATALOGUE, FAST, {}) or b"")["id"] == "fast"
