"""Which tier: pinned, else classified."""

import pytest
from tests.fakes import Notes

from twospeed.errors import Fault
from twospeed.policy.access import Caller
from twospeed.policy.catalogue import Catalogue
from twospeed.policy.choose import Case, Chooser, Policy, choose, pinned_tier
from twospeed.policy.plan import Planner, Route, Tiers
from twospeed.stores.memory import MemoryAffinity
from twospeed.types import Backend, Request, Switches, Verdict, Wishes

SPARK = Backend("p", "spark", "r", "p/spark@r", dialects=frozenset({"openai_chat"}))
LARGE = Backend("q", "large", "r", "q/large@r", dialects=frozenset({"anthropic_messages"}))
ANN, BOB = Caller("ann", b"", ["*"]), Caller("bob", b"", ["fast", "quick"])
CHAT, ANY = ("openai_chat",), ("openai_chat", "anthropic_messages")


class Desk:
    """A chooser with what it looks at."""

    def __init__(self, policy: Policy | None = None) -> None:
        tiers = Tiers.model_validate({"fast": {"models": ["p/spark"]}, "deep": {"models": ["q/large"]}})
        catalogue = Catalogue((SPARK, LARGE), {"quick": ["fast"], "any": ["auto"]}, tiers)
        names = {backend.name: catalogue.names_of(backend) for backend in (SPARK, LARGE)}
        self.affinity = MemoryAffinity(lambda: 0.0, 60.0, 10)
        self.planner = Planner(catalogue.lanes, names, Notes(), self.affinity)
        self.chooser = Chooser(catalogue, self.planner, policy or Policy())

    def settled(self, model="fast", headers=None, caller=ANN, served_by=ANY, session="s", switches=None, **more):
        request = Request("openai_chat", "/v1/chat/completions", b"{}", model, (0, 0), None, **more)
        return self.chooser.settled(request, headers or {}, caller, served_by, session, switches)

    def chosen(self, model="fast", caller=ANN, served_by=ANY, **more):
        request = Request("openai_chat", "/v1/chat/completions", b"{}", model, (0, 0), None, **more)
        case = Case(request, {}, caller, served_by, lambda: Verdict("deep", ("score",)), lambda: None, "s")
        return self.chooser.choose(case)


def outcome(ask, *asked, bound):
    """What comes of it: an answer, or a fault in words."""
    try:
        return ask(*asked, bound=bound)
    except Fault as fault:
        return str(fault.kind), fault.message


@pytest.mark.parametrize("caller", [ANN, BOB])
@pytest.mark.parametrize("served_by", [CHAT, ANY])
@pytest.mark.parametrize("model", ["fast", "deep", "quick", "p/spark", "q/large", "large", "any", "auto", "none"])
def test_what_a_name_alone_decides_is_what_is_chosen(model, served_by, caller):
    """What is remembered of a name says what choosing says, each time and for each caller and dialect."""
    desk = Desk()
    for bound in ("", "", "previous_response_id", "previous_response_id"):
        chosen = outcome(desk.chosen, model, caller, served_by, bound=bound)
        settled = outcome(desk.settled, model, None, caller, served_by, bound=bound)
        if isinstance(settled, Route):
            assert settled.tier is None
            settled = desk.planner.within_reach(Verdict("deep", ("score",)), settled, caller, served_by)
        assert settled == chosen or settled is None
        if isinstance(chosen[0], Verdict):
            assert (settled is None) == (not chosen[1] or bool(bound and model in ("any", "auto")))


def test_a_name_does_not_decide_where_anything_else_has_a_say():
    """A pin by header, wishes, flags, an operator's pin, rules and watching are asked each time."""
    desk = Desk()
    assert desk.settled() is not None
    assert desk.settled(headers={b"x-twospeed-tier": b"deep"}) is None
    assert desk.settled(wishes=Wishes(models=("deep",))) is None
    assert desk.settled(switches=Switches(tier="deep")) is None
    assert Desk(Policy(observe=True)).settled() is None
    desk.affinity.pin("s", "deep", 10.0)
    assert desk.settled() is None
    assert desk.settled(session="other") is not None


def test_header_pins():
    """x-twospeed-tier takes fast or deep, however written; without it nothing is pinned."""
    assert pinned_tier({b"x-twospeed-tier": b"FAST"}) == "fast"
    assert pinned_tier({}) is None


def test_wrong_header_is_refused():
    """Anything else is told to the client."""
    with pytest.raises(Fault):
        pinned_tier({b"x-twospeed-tier": b"medium"})


def test_a_route_with_a_tier_is_not_classified():
    """A pin costs no classification."""

    def never() -> Verdict:
        raise AssertionError

    assert choose(Route("deep", reason="tier"), never).tier == "deep"


def test_auto_is_classified():
    """A route without a tier is decided by the request."""
    assert choose(Route(None), lambda: Verdict("deep", ("score:high",), 0.9)).score == 0.9
