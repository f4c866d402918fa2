"""Which of two versions a request meets."""

import pytest

from twospeed.policy.arms import Arms, Asked, Offers, granted
from twospeed.policy.catalogue import Catalogue
from twospeed.policy.held import moved, opened
from twospeed.policy.plan import Tiers
from twospeed.policy.rollout import Rollout, Signal, share_bucket
from twospeed.types import Backend, Verdict

OLD, NEW, SPARE = (Backend(provider, "m", "r", f"{provider}/m@r") for provider in ("old", "new", "spare"))
TARGET = {"alias": "coder", "stable": "old/m", "candidate": "new/m"}
DEEP = Verdict("deep", ("pinned:alias",))
LIVE = (Signal.START, Signal.READY)


class Memory:
    """Where sessions were served."""

    def __init__(self):
        self.known = {}

    def get(self, session):
        return self.known.get(session)

    def put(self, session, backend):
        self.known[session] = backend


class World:
    """A catalogue, one rollout and its states."""

    def __init__(self, models=None, backends=(OLD, NEW, SPARE), **settings):
        models = models or {"coder": ["old/m", "spare/m"], "alias": ["coder"], "gpt-*": ["coder"]}
        tiers = Tiers.model_validate({"fast": {"models": ["spare/m"]}, "deep": {"models": ["old/m", "spare/m"]}})
        self.catalogue = Catalogue(backends, models, tiers)
        self.rollout = Rollout(id="r", target=settings.pop("target", TARGET), steps=["50%", "100%"], **settings)
        self.held = opened(self.rollout, 0.0).held
        self.offers, self.memory = Offers(), Memory()

    def after(self, *signals):
        for signal in signals:
            self.held = moved(self.held, signal, "ann", "", 1.0, self.held.state.step).held
        return self

    @property
    def arms(self):
        return Arms([self.rollout], {"r": self.held}, self.catalogue, self.offers, self.memory)

    def meet(self, name="coder", session="s", verdict=DEEP, reach=lambda route: route.backends, **asked):
        asked = {"caller": "ann", "headers": {}, "opening": lambda: ()} | asked
        return self.arms.assign(self.catalogue.route(name), verdict, Asked(session=session, **asked), reach)


def session(below, share=0.5):
    """A session on one side of the share."""
    return next(name for name in map(str, range(99)) if (share_bucket("r", name) < share) is below)


IN, OUT = session(True), session(False)


def names(assigned):
    return [backend.provider for backend in assigned.backends]


def test_a_draft_has_no_say():
    """Until somebody starts it everything goes where the file says."""
    assert not World().arms
    assert World().after(*LIVE).arms


@pytest.mark.parametrize("name", ["coder", "alias", "gpt-9"])
def test_both_versions_stand_in_both_arms(name):
    """By each name that leads there; whatever befalls the one, the other serves."""
    world = World().after(*LIVE)
    inside, outside = world.meet(name, IN), world.meet(name, OUT)
    assert (inside.arm, names(inside), inside.offer.candidate) == ("candidate", ["new", "old", "spare"], "new/m@r")
    assert (outside.arm, names(outside), outside.offer) == ("stable", ["old", "spare"], None)


def test_other_names_are_left_alone():
    """A rollout of one name says nothing of another, nor of a tier."""
    world = World().after(*LIVE)
    assert world.meet("old/m", IN) is None
    assert world.meet("deep", IN) is None
    assert world.meet("coder", IN, verdict=Verdict("deep", ("pinned:header",))) is None


def test_a_tier_may_be_the_name():
    """Everything that is decided for the tier takes part, classified or asked for."""
    world = World(target=TARGET | {"alias": "deep"}).after(*LIVE)
    assert world.meet("auto", IN, verdict=Verdict("deep", ("tools:9",))).arm == "candidate"
    assert world.meet("deep", OUT).arm == "stable"
    assert world.meet("auto", IN, verdict=Verdict("fast", ("short",))) is None
    assert world.meet("coder", IN) is None


@pytest.mark.parametrize("signals", [(*LIVE, Signal.ABORT), (*LIVE, Signal.ABORT, Signal.DONE)])
def test_after_the_end_everybody_has_the_stable_version(signals):
    """The name leads to the stable version, also where the file lists the candidate first."""
    world = World({"coder": ["new/m", "old/m"]}).after(*signals)
    assert names(world.meet(session=IN)) == ["old"]
    assert world.meet(session=IN).arm == ""


def test_a_promoted_candidate_serves_everybody():
    """Sessions or not, it comes first, and the stable version stands behind it."""
    world = World().after(*LIVE, Signal.PROMOTE)
    assert [names(world.meet(session=one))[:2] for one in (IN, OUT, "")] == [["new", "old"]] * 3


def test_requests_that_nobody_can_tell_apart_are_not_counted():
    """Without a session there is nothing to be sticky by; who says where to go is taken at their word."""
    world = World().after(*LIVE)
    for assigned in (world.meet(session=""), world.meet(session=IN, wishes=True)):
        assert (assigned.arm, names(assigned)[0]) == ("", "old")


def test_who_may_not_use_the_candidate_never_meets_it():
    """What a key or a dialect rules out is ruled out in both arms."""
    world = World().after(*LIVE)
    assigned = world.meet(session=IN, reach=lambda route: [b for b in route.backends if b is not NEW])
    assert (assigned.arm, names(assigned)) == ("", ["old", "spare"])
    assert world.meet(session=IN, reach=lambda route: ()) is None


@pytest.mark.parametrize(
    ("scope", "asked"),
    [
        ({"keys": ["ann"]}, {"caller": "bob"}),
        ({"repos": ["web"]}, {"headers": {b"x-twospeed-repo": b"core"}}),
        ({"languages": ["python"]}, {"headers": {b"x-twospeed-language": b"go"}}),
        ({"languages": ["python"]}, {"opening": lambda: (b"look at main.go and util.go",)}),
    ],
)
def test_out_of_scope_is_the_stable_version(scope, asked):
    """Keys, repositories and languages say whose requests take part."""
    world = World(scope=scope).after(*LIVE)
    assert world.meet(session=IN, **asked).arm == ""


def test_requests_of_a_drill_are_no_evidence_for_another_rollout():
    """Once the drill is over they have the stable version of a rollout under way, whatever the place of their session."""
    world = World().after(*LIVE)
    assert world.meet(session=IN).arm == "candidate"
    marked = world.meet(session=IN, headers={b"x-twospeed-repo": b"twospeed-drill"})
    assert (names(marked)[0], marked.arm) == ("old", "")


def test_the_language_of_a_session_is_found_once():
    """It stays that of its opening, however the conversation goes on."""
    world = World(scope={"languages": ["python"]}).after(*LIVE)
    first = world.meet(session=IN, opening=lambda: (b"mend app.py",))
    again = world.meet(session=IN, opening=lambda: (b"mend main.go",))
    assert [(one.arm, one.language) for one in (first, again)] == [("candidate", "python")] * 2


def test_a_conversation_that_a_provider_keeps_stays_there():
    """A follow-up of what one provider stored goes to that one, before and after a rollback, and is not counted."""
    world = World().after(*LIVE)
    arms = world.arms
    arms.served(world.meet(session=IN).split, IN, "new/m@r")
    arms.served(world.meet(session=OUT).split, OUT, "old/m@r")
    assert names(world.meet(session=IN, bound=True)) == ["new"]
    world.after(Signal.ABORT)
    assert (names(world.meet(session=IN, bound=True)), world.meet(session=IN, bound=True).arm) == (["new"], "")
    assert names(world.meet(session=OUT, bound=True))[0] == "old"
    assert names(world.meet(session=IN))[0] == "old"


def test_two_models_of_one_provider_keep_the_same():
    """What one model stored the other can read, so such sessions move as all others."""
    newer = Backend("old", "n", "r", "old/n@r")
    world = World(backends=(OLD, SPARE, newer), target=TARGET | {"candidate": "old/n"}).after(*LIVE)
    world.arms.served(world.meet(session=IN).split, IN, "old/m@r")
    assert world.meet(session=IN, bound=True).backends[0] is newer


def test_an_offer_goes_on_until_it_is_taken_back():
    """What waits for the candidate is called away at once, in the moment of the rollback and not before."""
    world = World().after(*LIVE)
    offer = world.meet(session=IN).offer
    left = []
    offer.waiting.add(lambda: left.append("left"))
    world.after(Signal.PAUSE, Signal.RESUME)
    assert world.meet(session=IN).offer is offer
    assert not offer.withdrawn
    world.after(Signal.FAIL)
    assert world.meet(session=IN).offer is None
    assert (offer.withdrawn, left) == (True, ["left"])


def test_a_rollout_that_leaves_the_file_leaves_at_once():
    """Without its block nothing is sent to the candidate, whatever the state says."""
    world = World().after(*LIVE)
    offer = world.meet(session=IN).offer
    assert not Arms([], {"r": world.held}, world.catalogue, world.offers, world.memory)
    assert offer.withdrawn


def test_a_name_opens_what_a_rollout_puts_behind_it():
    """A key that may use the alias may be served by the candidate, through the alias."""
    world = World()
    found = granted([world.rollout], world.catalogue, ["coder", "alias"])
    assert set(found["new/m@r"]) == {"coder", "alias"}
