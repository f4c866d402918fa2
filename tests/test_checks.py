"""Checks between sections; the messages are in golden/config."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twospeed.checks import Names, absence, check
from twospeed.policy.catalogue import Catalogue
from twospeed.policy.plan import Tiers
from twospeed.types import Backend

PROVIDERS = {"sim": {"kind": "simulated", "models": {"quick": {}, "slow": {}}}}
TIERS = {"fast": {"models": ["sim/quick"]}, "deep": {"models": ["sim/slow"]}}


def found(env=None, **sections):
    """What is wrong with a file of these sections: path -> message."""
    value = {"providers": PROVIDERS, "tiers": TIERS, **sections}
    return {finding.path: finding.message for finding in check(value, Names(value, env or {}))}


@pytest.mark.parametrize(
    "admin",
    [
        {"key": "env:A", "keys": [{"name": "admin", "key": "env:B"}]},
        {"keys": [{"name": "ann", "key": "env:A"}, {"name": "ann", "key": "env:B"}]},
    ],
)
def test_two_admin_keys_of_one_name_are_found(admin):
    """The ledger could not say whose it was."""
    [path] = found(admin=admin)
    assert path == ("admin", "keys", len(admin["keys"]) - 1, "name")


@pytest.mark.parametrize(
    ("flag", "path"),
    [
        ({"set": {"model": "sim/quck"}}, ("flags", 1, "set", "model")),
        ({"id": "a", "set": {"tier": "fast"}}, ("flags", 1, "id")),
        ({"scope": {"keys": ["nobody"]}}, ("flags", 1, "scope", "keys", 0)),
    ],
)
def test_flags_name_what_there_is(flag, path):
    """A model, a key or an id that is mistaken is found."""
    assert list(found(flags=[{"id": "a", "set": {"model": "auto"}}, {"id": "b", **flag}])) == [path]


def test_a_sound_file_has_no_findings():
    """Nothing is said about what is right."""
    assert found(models={"coder": ["sim/quick", "sim/slow"], "gpt-*": "auto"}) == {}


@pytest.mark.parametrize(
    ("provider", "reason"),
    [
        ({}, ""),
        ({"when": "env:SET"}, ""),
        ({"when": "env:NOT"}, "NOT is not set"),
        ({"unless": ["env:NOT"]}, ""),
        ({"unless": ["env:NOT", "env:SET"]}, "SET is set"),
        ({"when": "env:NOT", "unless": ["env:SET"]}, "NOT is not set"),
        ({"when": 5, "unless": {"a": 1}}, ""),
    ],
)
def test_a_provider_takes_part_or_there_is_a_reason(provider, reason):
    """`when` needs its variable, `unless` must have none of its own."""
    assert absence(provider, {"SET": "x"}) == reason


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_this_machine_needs_no_keys(host):
    """Loopback is open to whoever is on the machine."""
    assert found(listen={"host": host}) == {}


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "10.0.0.5", "example.com"])
def test_other_machines_need_keys(host):
    """A listener beyond loopback is refused without keys, and accepted with them."""
    assert list(found(listen={"host": host})) == [("listen", "host")]
    assert found(listen={"host": host}, keys=[{"name": "a", "key": "env:A"}]) == {}
    assert list(found(admin={"host": host})) == [("admin", "host")]
    assert found(admin={"host": host, "key": "env:A"}) == {}


def test_two_listeners_need_two_ports():
    """The same port twice is seen before it fails; 0 lets the system choose both."""
    assert list(found(listen={"port": 9000}, admin={"port": 9000})) == [("admin", "port")]
    assert found(listen={"port": 0}, admin={"port": 0}) == {}


def test_names_of_a_provider_that_cannot_be_read_are_not_called_unknown():
    """One mistake in a provider does not bring a second complaint for each of its models."""
    broken = {"sim": {"kind": "simulated", "models": ["quick", "slow"]}}
    assert found(providers=broken) == {}


def test_a_left_out_provider_is_no_error_as_long_as_another_takes_part():
    """Lists shrink silently; only a tier that nobody serves is an error."""
    spare = {"spare": {"kind": "openai", "when": "env:KEY", "models": {"m": {}}}}
    tiers = {"fast": {"models": ["spare/m", "sim/quick"]}, "deep": {"models": ["spare/m"]}}
    found_now = found(providers=PROVIDERS | spare, tiers=tiers, models={"other": ["spare/m"]})
    assert list(found_now) == [("tiers", "deep", "models")]
    assert "set KEY, or add one that always does" in found_now["tiers", "deep", "models"]
    assert found(env={"KEY": "x"}, providers=PROVIDERS | spare, tiers=tiers) == {}


@pytest.mark.parametrize(
    ("allowed", "told"),
    [
        (["*"], []),
        (["auto"], []),
        (["quick"], []),
        (["sim/*"], []),
        (["gpt-5", "fast"], []),
        (["gpt-5"], [("keys", 0, "models")]),
        (["claude", "fast"], [("keys", 0, "models", 0)]),
        ([], []),
    ],
)
def test_an_allow_list_that_lets_nothing_through_is_noticed(allowed, told):
    """A name that only a glob takes may be asked for, but the backend at the end must be allowed as well."""
    keys = [{"name": "ann", "key": "env:A", "models": allowed}]
    assert list(found(keys=keys, models={"gpt-*": ["auto"]})) == told


@pytest.mark.parametrize(
    ("first", "second", "covered"),
    [
        ("*", "gpt-*", True),
        ("gpt-*", "gpt-*-mini", True),
        ("gpt-*", "gpt-?", True),
        ("gpt-?", "gpt-*", False),
        ("gpt-*-mini", "gpt-*", False),
        ("*a*", "*b*", False),
        ("*", "o[1-9]", True),
        ("o*", "o[1-9]", False),
    ],
)
def test_a_glob_is_called_unreachable_only_when_it_surely_is(first, second, covered):
    """A wider glob above takes everything; where there is doubt nothing is said."""
    assert (("models", second) in found(models={first: ["auto"], second: ["auto"]})) == covered


def test_a_deadline_beyond_the_total_is_pointless():
    """Only deadlines that are written are questioned, against the total that holds."""
    tiers = {**TIERS, "fast": {"models": ["sim/quick"], "timeouts": {"total": "1s"}}}
    assert found(tiers=tiers) == {}
    tiers["fast"]["timeouts"]["idle"] = "2s"
    assert list(found(tiers=tiers)) == [("tiers", "fast", "timeouts", "idle")]


ALIASES = st.dictionaries(
    st.sampled_from("abcdef"), st.lists(st.sampled_from([*"abcdef", "sim/quick", "sim/slow"]), min_size=1, max_size=3)
)


@given(ALIASES)
def test_aliases_without_a_finding_lead_somewhere(models):
    """Whatever passes the checks, every alias of it ends in backends; and whatever goes in circles is found."""
    if found(models=models):
        return
    backends = [Backend("sim", name, "default", f"sim/{name}@default") for name in ("quick", "slow")]
    catalogue = Catalogue(backends, models, Tiers.model_validate(TIERS))
    assert all(catalogue.route(name).backends for name in models)


@given(ALIASES)
def test_every_circle_is_found(models):
    """An alias that comes back to itself is always named."""
    findings = found(models=models)
    circles = {name for name in models if _comes_back(name, models)}
    told = {path for path, message in findings.items() if "circle" in message}
    assert bool(told) == bool(circles)
    assert {path[1] for path in told} <= circles


def _comes_back(name, models):
    seen, waiting = set(), list(models[name])
    while waiting:
        target = waiting.pop()
        if target not in seen:
            seen.add(target)
            waiting += models.get(target, [])
    return name in seen


ROLLOUT = {"id": "r", "target": {"alias": "coder", "stable": "sim/quick", "candidate": "sim/slow"}}


def test_a_rollout_is_between_two_versions_that_are_served():
    """Its alias is a name or a tier, both versions are backends, ids are unique; a second one for an alias waits."""
    models = {"coder": ["sim/quick"]}
    assert found(models=models, rollouts=[ROLLOUT]) == {}
    tier = {**ROLLOUT, "target": {**ROLLOUT["target"], "alias": "fast"}}
    assert found(models=models, rollouts=[tier]) == {}
    twice = found(models=models, rollouts=[ROLLOUT, ROLLOUT])
    assert list(twice) == [("rollouts", 1, "id"), ("rollouts", 1, "target", "alias")]


def test_money_for_copies_needs_a_price():
    """A budget in dollars is no bound while nobody says what the candidate costs."""
    models = {"coder": ["sim/quick"]}
    assert found(models=models, rollouts=[ROLLOUT], shadow={"rpm": 5}) == {}
    unpriced = found(models=models, rollouts=[ROLLOUT], shadow={"cost_per_day": 5})
    assert list(unpriced) == [("shadow", "cost_per_day")]
    assert "sim/slow" in unpriced["shadow", "cost_per_day"]
    priced = {"sim": {"kind": "simulated", "models": {"quick": {}, "slow": {"price": {"input": 1, "output": 2}}}}}
    assert found(models=models, rollouts=[ROLLOUT], shadow={"cost_per_day": 5}, providers=priced) == {}


@pytest.mark.parametrize(
    "rollouts", [5, [5], [{}], [{"id": 5, "target": 5}], [{"target": {"alias": [], "stable": {}}}]]
)
def test_rollouts_of_a_wrong_shape_are_left_to_their_settings(rollouts):
    """The checks between sections say nothing about them and do not fail."""
    assert found(rollouts=rollouts) == {}


def test_a_tier_that_is_down_does_what_was_meant_or_a_warning_says_why_not():
    """An empty answer is for completions, and the other tier must be able to help."""
    path = ("tiers", "fast", "when_down")
    chatty = {"fast": TIERS["fast"] | {"when_down": "empty"}, "deep": TIERS["deep"]}
    assert "only completions" in found(tiers=chatty)[path]
    typing = {"sim": PROVIDERS["sim"] | {"dialects": ["completions"]}}
    assert found(providers=typing, tiers=chatty) == {}
    talking = {"sim": PROVIDERS["sim"] | {"dialects": ["chat"]}}
    assert "no provider of this tier offers completions" in found(providers=talking, tiers=chatty)[path]
    alone = {"fast": TIERS["fast"] | {"when_down": "other_tier"}, "deep": TIERS["fast"]}
    assert "no backend that this one lacks" in found(tiers=alone)[path]


def test_a_second_backend_must_be_there_to_be_asked():
    """Hedging and resuming in a tier of one backend do nothing, and a warning says so."""
    alone = {"fast": TIERS["fast"] | {"hedge": {}, "resume": True}, "deep": TIERS["deep"]}
    assert list(found(tiers=alone)) == [("tiers", "fast", "resume")]
    two = {
        "fast": {"models": ["sim/quick", "sim/slow"], "hedge": {"after": "1s"}, "resume": True},
        "deep": TIERS["deep"],
    }
    assert found(tiers=two) == {}
