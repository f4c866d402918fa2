"""What a model name leads to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twospeed.policy.access import Caller
from twospeed.policy.catalogue import CACHED, LONGEST, Catalogue
from twospeed.policy.plan import Tiers
from twospeed.types import Backend

SPARK = Backend("cerebras", "spark", "default", "cerebras/spark@default")
MINI = Backend("openai", "gpt-mini", "eu", "openai/gpt-mini@eu")
LARGE = Backend("openai", "gpt-large", "eu", "openai/gpt-large@eu")
MIRROR = Backend("mirror", "gpt-large", "us", "mirror/gpt-large@us")
ALL = (SPARK, MINI, LARGE, MIRROR)
ANYONE = Caller("anyone", b"", ["*"])


def catalogue(models=None, fast=("cerebras/spark", "openai/gpt-mini"), deep=("openai/gpt-large",), backends=ALL):
    """Build one from lists of names."""
    written = {name: [to] if isinstance(to, str) else to for name, to in (models or {}).items()}
    tiers = Tiers.model_validate({"fast": {"models": list(fast)}, "deep": {"models": list(deep)}})
    return Catalogue(backends, written, tiers)


def test_auto_is_classified():
    """`auto` pins nothing."""
    route = catalogue().route("auto")
    assert (route.tier, route.backends, route.names) == (None, (), ("auto",))


@pytest.mark.parametrize("tier", ["fast", "deep"])
def test_a_tier_name_pins_the_tier(tier):
    """`fast` and `deep` pin the tier and leave its backends to it."""
    route = catalogue().route(tier)
    assert (route.tier, route.backends, route.reason) == (tier, (), "tier")


def test_provider_and_model_pin_one_backend():
    """`provider/model` goes there and nowhere else, with or without the region."""
    names = catalogue()
    assert names.route("openai/gpt-large").backends == (LARGE,)
    assert names.route("openai/gpt-large@eu") == names.route("openai/gpt-large")


def test_an_alias_falls_back_within_its_own_list():
    """An alias tries its own backends, in its own order."""
    route = catalogue({"big": ["mirror/gpt-large", "openai/gpt-large"]}).route("big")
    assert (route.backends, route.reason) == ((MIRROR, LARGE), "alias")


def test_an_alias_may_stand_for_a_tier():
    """An alias of `fast`, `deep` or `auto` is that, through any number of steps."""
    names = catalogue({"quick": "fast", "hasty": "quick", "any": "auto"})
    assert (names.route("hasty").tier, names.route("hasty").backends) == ("fast", ())
    assert names.route("hasty").names == ("hasty", "quick", "fast")
    assert names.route("any").tier is None


def test_aliases_nest():
    """An alias in a list stands for all of its own backends, each counted once."""
    names = catalogue({"large": ["openai/gpt-large", "mirror/gpt-large"], "all": ["mirror/gpt-large", "large"]})
    assert names.route("all").backends == (MIRROR, LARGE)


def test_exact_names_win_over_globs():
    """A name written out is never caught by a glob, wherever it stands."""
    names = catalogue({"*": "auto", "gpt-pro": "openai/gpt-large"})
    assert names.route("gpt-pro").backends == (LARGE,)
    assert names.route("openai/gpt-mini").backends == (MINI,)


def test_globs_are_tried_in_the_order_of_the_file():
    """The first glob that fits decides."""
    names = catalogue({"gpt-*-mini": "fast", "gpt-*": "deep", "*": "auto"})
    found = [names.route(name).tier for name in ("gpt-5-mini", "gpt-5", "claude")]
    assert found == ["fast", "deep", None]


def test_a_name_caught_by_a_glob_keeps_its_own_name():
    """Allow-lists see the name asked for and what it stands for."""
    assert catalogue({"gpt-*": "auto"}).route("gpt-9").names == ("gpt-9", "auto")


def test_a_bare_model_name_reaches_all_who_serve_it():
    """Without an alias or a glob, a model's own name leads to every provider of it, in the order of the file."""
    assert catalogue().route("gpt-large").backends == (LARGE, MIRROR)


def test_an_unknown_name_leads_nowhere():
    """A name that nothing knows has no route, asked once or twice."""
    names = catalogue()
    assert names.route("gpt-9") is None
    assert names.route("gpt-9") is None


@pytest.mark.parametrize(
    ("models", "name", "tier"),
    [
        ({"a": ["openai/gpt-mini", "openai/gpt-large"]}, "a", "fast"),
        ({"a": ["mirror/gpt-large"]}, "a", "deep"),
        ({}, "openai/gpt-mini", "fast"),
        ({}, "mirror/gpt-large", "deep"),
    ],
)
def test_a_pinned_backend_has_the_deadlines_of_its_tier(models, name, tier):
    """The tier of a pin is the one that lists its first backend, else deep, which waits longer."""
    assert catalogue(models).route(name).tier == tier


def test_the_tier_that_lists_an_alias_is_its_tier():
    """An alias listed by a tier belongs to it, whatever else its backends are in."""
    names = catalogue({"coder": ["openai/gpt-large"]}, fast=["cerebras/spark", "coder"], deep=["openai/gpt-large"])
    assert names.route("coder").tier == "fast"
    assert names.route("openai/gpt-large").tier == "deep"


def test_backends_that_do_not_take_part_are_left_out():
    """Names of a provider without its key vanish from every list, and lists that are then empty lead nowhere."""
    names = catalogue({"both": ["openai/gpt-mini", "cerebras/spark"], "gone": "cerebras/spark"}, backends=ALL[1:])
    assert names.route("both").backends == (MINI,)
    assert names.route("gone") is None
    assert names.lanes["fast"].backends == (MINI,)
    assert "gone" not in names.listing(ANYONE)


def test_names_of_a_backend_are_all_that_lead_to_it():
    """Whoever may use any name of a backend may be routed to it."""
    names = catalogue({"coder": ["openai/gpt-mini"], "swift": "fast", "gpt-*": "fast"})
    assert set(names.names_of(MINI)) == {
        *("openai/gpt-mini", "openai/gpt-mini@eu", "gpt-mini"),
        *("coder", "swift", "fast", "auto"),
    }
    assert set(names.names_of(MIRROR)) == {"mirror/gpt-large", "mirror/gpt-large@us", "gpt-large"}


def test_the_listing_shows_what_the_caller_may_ask_for():
    """The list of models is the caller's own; globs and regions are not in it."""
    names = catalogue({"coder": ["openai/gpt-mini"], "*": "auto"})
    assert names.listing(ANYONE) == [
        *("auto", "fast", "deep", "coder"),
        *("cerebras/spark", "openai/gpt-mini", "openai/gpt-large", "mirror/gpt-large"),
    ]
    assert names.listing(Caller("ann", b"", ["coder"])) == ["coder", "openai/gpt-mini"]


def test_deadlines_not_written_are_the_defaults_of_the_tier():
    """Setting one deadline leaves the others as they are."""
    tiers = {
        "fast": {"models": ["openai/gpt-mini"], "timeouts": {"idle": "3s"}},
        "deep": {"models": ["cerebras/spark"]},
    }
    lanes = Catalogue(ALL, {}, Tiers.model_validate(tiers)).lanes
    assert (lanes["fast"].timeouts.idle, lanes["fast"].timeouts.total) == (3.0, 60.0)
    assert lanes["deep"].timeouts.first_token == 300.0


def test_names_from_clients_are_not_kept_without_bound():
    """A flood of made-up names costs no memory, and endless names are no names."""
    names = catalogue({"*": "auto"})
    for number in range(CACHED + 100):
        assert names.route(f"made-up-{number}").tier is None
    assert len(names._cache) == CACHED
    assert names.route("x" * (LONGEST + 1)) is None


@given(st.text())
def test_any_text_may_be_asked_for(name):
    """No name makes routing fail, and the answer does not depend on having been asked before."""
    names = catalogue({"gpt-*": "auto", "[a-c]?": "fast"})
    assert names.route(name) == names.route(name)


def test_a_route_says_which_names_it_was_followed_through():
    """From the one asked for; not those that happen to lead to the same backend."""
    models = {"coder": ["openai/gpt-large"], "mine": "coder", "other": "openai/gpt-large", "x-*": "mine", "all": "auto"}
    found = catalogue(models)
    assert found.route("mine").through == ("mine", "coder")
    assert found.route("x-1").through == ("x-1", "mine", "coder")
    assert found.route("other").through == ("other",)
    assert found.route("all").through == ("all",)
    assert found.route("openai/gpt-large").through == found.route("auto").through == ()


def test_a_model_is_found_whatever_its_name_leads_to():
    """Where auto only watches, a client gets exactly the model it asked for, at whoever serves it."""
    found = catalogue({"gpt-*": "auto"})
    route = found.honoured("gpt-large")
    assert route is not None
    assert (route.tier, route.backends) == ("deep", (LARGE, MIRROR))
    assert found.honoured("vendor/gpt-mini").backends == (MINI,)
    assert found.honoured("auto") is None
