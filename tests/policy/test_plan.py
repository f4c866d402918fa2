"""Plans: backends in order, within what the caller may use and what the request needs."""

from tests.fakes import Notes

from twospeed.policy.access import Caller
from twospeed.policy.plan import Lane, Needs, Planner, Route
from twospeed.policy.rank.ordered import Rank
from twospeed.stores.memory import MemoryAffinity
from twospeed.types import Backend, Offer, Request, Timeouts, Verdict

A = Backend("a", "m", "r", "a/m@r", context=8_000, images=False)
B = Backend("b", "m", "r", "b/m@r", context=100_000)
C = Backend("c", "m", "r", "c/m@r")
NAMES = {"a/m@r": ("a/m", "fast", "auto"), "b/m@r": ("b/m", "fast", "auto"), "c/m@r": ("c/m", "deep", "auto")}
REQUEST = Request("openai_chat", "/v1/chat/completions", b"{}", "auto", (0, 0), None, stream=True)


class Desk:
    """A planner with what it looks at."""

    def __init__(self) -> None:
        self.now = 10.0
        self.health, self.affinity = Notes(), MemoryAffinity(lambda: self.now, 3_600.0, 100)
        timeouts = Timeouts(1.0, 2.0, 3.0, 60.0)
        lanes = {"fast": Lane((A, B), timeouts, Rank()), "deep": Lane((C,), timeouts, Rank())}
        self.planner = Planner(lanes, NAMES, self.health, self.affinity)

    def order(self, session: str = "", needs: Needs | None = None) -> list[str]:
        plan = self.planner.plan("fast", (A, B), session, needs or Needs(), REQUEST, self.now)
        return [candidate.backend.provider for candidate in plan.candidates]

    def bind(self, backend: str) -> None:
        self.planner.bind("fast", "s", backend, self.now)


def caller(*models: str) -> Caller:
    """A caller with these allowed models."""
    return Caller("ann" + str(models), b"", models)


def test_written_order_and_deadline():
    """The first listed is the first tried; the whole request ends when the tier says."""
    desk = Desk()
    assert desk.order() == ["a", "b"]
    assert desk.planner.plan("fast", (A, B), "", Needs(), REQUEST, 10.0).deadline == 70.0


def test_a_session_goes_back_to_its_backend():
    """Where its prompt cache is."""
    desk = Desk()
    desk.bind("b/m@r")
    assert desk.order("s") == ["b", "a"]
    assert desk.order("other") == ["a", "b"]


def test_an_unhealthy_backend_does_not_hold_its_session():
    """A session waits for nobody; it rebinds only when its own backend is out."""
    desk = Desk()
    desk.bind("b/m@r")
    desk.bind("a/m@r")
    assert desk.order("s") == ["b", "a"]
    desk.health.open.add("b/m@r")
    assert desk.order("s") == ["a", "b"]
    desk.bind("a/m@r")
    desk.health.open.clear()
    assert desk.order("s") == ["a", "b"]


def test_a_session_is_free_when_its_cache_is_gone():
    """After a pause longer than the provider's cache window nothing holds it, and the next to serve it has it."""
    desk = Desk()
    desk.bind("b/m@r")
    desk.now += 299.0
    assert desk.order("s") == ["b", "a"]
    desk.now += 2.0
    assert desk.order("s") == ["a", "b"]
    desk.bind("a/m@r")
    desk.bind("b/m@r")
    assert desk.order("s") == ["a", "b"]


def test_one_whose_breaker_is_open_stays_as_a_probe():
    """It keeps its place; the breaker decides at the door whether it gets one."""
    desk = Desk()
    desk.health.open.add("a/m@r")
    plan = desk.planner.plan("fast", (A, B), "", Needs(), REQUEST, 10.0)
    assert [candidate.probe for candidate in plan.candidates] == [True, False]


def test_requests_go_where_they_fit():
    """Context and images rule backends out, unless that rules out all."""
    desk = Desk()
    assert desk.order(needs=Needs(tokens=20_000)) == ["b"]
    assert desk.order(needs=Needs(images=True)) == ["b"]
    assert desk.order(needs=Needs(tokens=200_000)) == ["a", "b"]


def test_a_callers_list_bounds_what_auto_reaches():
    """A key for fast that is classified deep stays fast, and says so; a pin beyond the list reaches nothing."""
    planner = Desk().planner
    verdict, backends = planner.within_reach(Verdict("deep", ("score:high",)), Route(None), caller("auto", "fast"))
    assert verdict.tier == "fast"
    assert verdict.reasons[0] == "key:fast_only"
    assert backends == (A, B)
    assert planner.within_reach(Verdict("deep", ()), Route("deep"), caller("auto", "fast"))[1] == ()


def test_auto_alone_opens_both_tiers():
    """A key that names only `auto` may be routed anywhere auto leads."""
    planner = Desk().planner
    assert planner.within_reach(Verdict("deep", ()), Route(None), caller("auto"))[1] == (C,)


def test_a_caller_without_any_match_reaches_nothing():
    """Unknown and forbidden look the same."""
    assert Desk().planner.within_reach(Verdict("fast", ()), Route(None), caller("o9"))[1] == ()


def test_a_client_in_a_hurry_shortens_the_deadlines():
    """Its own timeouts lower ours and never raise them."""
    desk = Desk()
    plan = desk.planner.plan("fast", (A, B), "", Needs(total=5.0, idle=1.0), REQUEST, 10.0)
    assert (plan.deadline, plan.candidates[0].timeouts.idle) == (15.0, 1.0)
    patient = desk.planner.plan("fast", (A, B), "", Needs(total=600.0, idle=600.0), REQUEST, 10.0)
    assert (patient.deadline, patient.candidates[0].timeouts.idle) == (70.0, 3.0)


def test_a_rollout_says_the_order():
    """Neither rank nor the session's memory changes it; the first is on trial, and the others have as many tries as ever."""
    desk, offer = Desk(), Offer("r", 1, B.name, A.name)
    desk.bind("a/m@r")
    usual = desk.planner.plan("fast", (B, A), "s", Needs(), REQUEST, desk.now)
    plan = desk.planner.plan("fast", (B, A), "s", Needs(), REQUEST, desk.now, True, offer)
    assert [candidate.backend for candidate in plan.candidates] == [B, A]
    assert [candidate.offer for candidate in plan.candidates] == [offer, None]
    assert plan.most == usual.most + 1
