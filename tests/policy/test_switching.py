"""Changes of tier in the middle of a session, weighed against the prompt cache they lose."""

import pytest

from twospeed.policy.plan import Lane
from twospeed.policy.rank.ordered import Rank
from twospeed.policy.switching import Sessions, Switching, thread_of
from twospeed.stores.memory import MemoryAffinity
from twospeed.types import Attempt, Backend, Price, Record, Timeouts, Usage, Verdict

CHEAP = Backend("f", "m", "r", "f/m@r", price=Price(0.75, 4.5, 0.075, 0.75, caches=True), cache_window=600.0)
DEAR = Backend("d", "m", "r", "d/m@r", price=Price(3.0, 15.0, 0.3, 3.75, caches=True), cache_window=300.0)
LINE = 0.5


class Conversation:
    """One conversation and a clock."""

    def __init__(self, deep: Backend = DEAR, **settings: float) -> None:
        self.now = 1_000.0
        self.affinity = MemoryAffinity(lambda: self.now, 3_600.0, 100)
        timeouts = Timeouts(1.0, 2.0, 3.0, 60.0)
        lanes = {"fast": Lane((CHEAP,), timeouts, Rank()), "deep": Lane((deep,), timeouts, Rank())}
        self.switching = Switching(
            Sessions(**{"switch_worth": 1.0} | settings), lanes, {CHEAP.name: CHEAP, deep.name: deep}, self.affinity
        )

    def call(self, score: float, tokens: int = 60_000, reason: str = "score:x", **usage: int) -> Verdict:
        """Make one call a minute after the last: decide, be served, note it."""
        self.now += 60.0
        tier = "deep" if score >= LINE else "fast"
        verdict = self.switching.weigh(Verdict(tier, (reason,), score), LINE, "t", self.now)
        backend = DEAR if verdict.tier == "deep" else CHEAP
        used = Usage(tokens, 0, **usage or {"cached_tokens": tokens - 100})
        record = Record("r", self.now, 0.0, "/", tier=verdict.tier, reasons=verdict.reasons, usage=used, thread="t")
        record.attempts, record.weighed = [Attempt(backend, self.now)], verdict.weighed
        self.switching.served(record)
        return verdict


def test_a_change_that_does_not_pay_is_not_made():
    """Sixty thousand tokens read anew cost 21 cents; a score just above the line is not worth that, a high one is."""
    talk = Conversation()
    assert talk.call(0.2).tier == "fast"
    kept = talk.call(0.6)
    assert (kept.tier, kept.reasons) == ("fast", ("session:cache", "score:x"))
    assert kept.weighed is not None
    assert (kept.weighed.tokens, kept.weighed.made) == (60_000, False)
    assert kept.weighed.lost == pytest.approx(0.207)
    assert kept.weighed.worth == pytest.approx(0.1)
    moved = talk.call(0.9)
    assert (moved.tier, moved.reasons) == ("deep", ("score:x",))
    assert moved.weighed is not None
    assert moved.weighed.spent == pytest.approx(0.207)


def test_going_back_is_cheap_while_both_are_warm():
    """What the other tier still has in its cache is not lost."""
    talk = Conversation()
    talk.call(0.2)
    talk.call(0.9, tokens=61_000)
    back = talk.call(0.49)
    assert back.tier == "fast"
    assert back.weighed is not None
    assert back.weighed.tokens == 1_000


def test_short_conversations_change_freely():
    """Two thousand tokens cost less than a cent."""
    talk = Conversation()
    talk.call(0.2, tokens=2_000)
    assert talk.call(0.52, tokens=2_000).tier == "deep"


def test_after_the_window_nothing_holds():
    """When the provider has forgotten the prompt there is nothing to lose."""
    talk = Conversation()
    talk.call(0.9)
    talk.now += 300.0
    assert talk.call(0.49).weighed is None


def test_spending_is_bounded():
    """However the score jumps, changes cost one conversation no more than the configuration says."""
    talk = Conversation(switch_worth=100.0, max_switch_spend=0.5)
    verdicts = [talk.call(0.95 if turn % 2 else 0.05, tokens=50_000 + 20_000 * turn) for turn in range(40)]
    spent = [verdict.weighed.spent for verdict in verdicts if verdict.weighed]
    made = [verdict.weighed.lost for verdict in verdicts if verdict.weighed and verdict.weighed.made]
    assert max(spent) <= 0.5
    assert sum(made) == pytest.approx(max(spent))
    assert "session:spend" in {verdict.reasons[0] for verdict in verdicts}


@pytest.mark.parametrize("reason", ["effort:high", "plan_mode", "agent:failing"])
def test_evidence_needs_no_worth(reason: str):
    """What the client asks for and a run in trouble go deep at once, as long as anything may be spent."""
    talk = Conversation(switch_worth=0.0)
    talk.call(0.2)
    assert talk.call(0.95, reason=reason).tier == "deep"
    poor = Conversation(max_switch_spend=0.1)
    poor.call(0.2)
    assert poor.call(0.95, reason=reason).reasons[0] == "session:spend"


@pytest.mark.parametrize("reason", ["context:beyond_fast", "images", "side_call", "completion", "cursor"])
def test_constraints_and_side_calls_are_not_weighed(reason: str):
    """What only one tier can serve goes there; a title is no part of the conversation, and leaves no trace in it."""
    talk = Conversation()
    talk.call(0.2)
    assert talk.call(1.0, reason=reason).tier == "deep"
    if reason in ("side_call", "completion", "cursor"):
        assert talk.affinity.bound("t:deep") is None


def test_a_cache_that_does_not_work_holds_nobody():
    """Where later calls of a conversation read nothing from the cache, there is nothing to lose."""
    talk = Conversation()
    talk.call(0.2, cached_tokens=0)
    assert talk.affinity.bound("t:fast").tokens == 60_000
    talk.call(0.2, cached_tokens=0)
    assert talk.affinity.bound("t:fast").tokens == 0
    assert talk.call(0.51).tier == "deep"


def test_explicit_caches_show_what_they_hold():
    """A provider that charges for writing says how much it wrote; without that nothing is cached."""
    talk = Conversation()
    talk.call(0.9, cached_tokens=0)
    assert talk.affinity.bound("t:deep").tokens == 0
    talk.call(0.9, cached_tokens=0, cache_write_tokens=59_000)
    assert talk.affinity.bound("t:deep").tokens == 60_000


def test_without_prices_nothing_is_weighed():
    """A catalogue that does not say what cached input costs leaves every decision to the score."""
    assert not Conversation(Backend("d", "m", "r", "d/m@r")).switching.active
    assert Conversation().switching.active


def test_conversations_of_one_session_are_told_apart():
    """A sub-agent begins differently; a system prompt with changing lines does not matter."""
    assert thread_of("s", [b"system 1", b"hello"]) == thread_of("s", [b"system 2", b"hello"])
    assert thread_of("s", [b"x", b"hello"]) != thread_of("s", [b"x", b"explore the repository"])
    assert thread_of("", [b"hello"]) == thread_of("s", []) == ""
