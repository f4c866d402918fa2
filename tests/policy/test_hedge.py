"""A second backend beside the first, as dialogues, and under every order of events."""

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.playbook import Playbook
from tests.policy.test_race import A, B, C

from twospeed.errors import Fault, Kind
from twospeed.policy.hedge import Hedge, HedgedRace, Purse
from twospeed.policy.race import (
    Admit,
    Admitted,
    Begin,
    Cancel,
    Committed,
    Connected,
    Failed,
    Lose,
    Open,
    Pause,
    Refused,
    Tick,
    Win,
)
from twospeed.types import Candidate, Plan

SLOW = Fault(Kind.PROVIDER_ERROR)


def race(*candidates: Candidate, delay: float | None = 0.5, most: int = 3) -> HedgedRace:
    plan = Plan("fast", candidates, 60.0, stream=True, most=most)
    return HedgedRace(plan, 0.5, lambda _: delay)


def hedged(*candidates: Candidate) -> Playbook:
    """The first backend is silent for half a second; the second one has been connected."""
    p = Playbook(race(*candidates)) << Admit(0, candidates[0])
    p >> Admitted(0) << Open(0) >> Connected(0) << Begin(0)
    p.at(0.5) >> Tick() << Admit(1, candidates[1], hedge=True) >> Admitted(1) << Open(1) >> Connected(1) << Begin(1)
    return p


def test_a_quick_answer_is_not_hedged():
    """Who speaks within the delay is asked alone."""
    p = Playbook(race(A, B)) << Admit(0, A)
    p >> Admitted(0) << Open(0) >> Connected(0) << Begin(0)
    assert p.race.deadline == 0.5
    p.at(0.4) >> Committed(0) << Win(0)
    assert p


def test_the_second_one_may_win():
    """The first is cancelled in the very step in which the second one has spoken."""
    assert hedged(A, B) >> Committed(1) << Cancel(0, Kind.HEDGE_LOST) << Win(1)


def test_the_first_one_may_still_win():
    """Then the hedge is cancelled."""
    assert hedged(A, B) >> Committed(0) << Cancel(1, Kind.HEDGE_LOST) << Win(0)


def test_one_failure_leaves_the_other():
    """While somebody may still answer nobody else is asked."""
    assert hedged(A, B, C) >> Failed(0, SLOW) >> Committed(1) << Win(1)
    assert hedged(A, B, C) >> Failed(1, SLOW) >> Committed(0) << Win(0)


def test_two_failures_go_on_to_the_third():
    """The race then goes on as without a hedge."""
    p = hedged(A, B, C) >> Failed(1, SLOW) >> Failed(0, SLOW) << Admit(2, C)
    p >> Admitted(2) << Open(2) >> Failed(2, SLOW) << Lose(SLOW)
    assert p


def test_a_fault_of_the_request_ends_both():
    """What the other one would only repeat is told at once."""
    bad = Fault(Kind.PROVIDER_REFUSED)
    assert hedged(A, B) >> Failed(1, bad) << Cancel(0, Kind.HEDGE_LOST) << Lose(bad)


def test_each_one_has_its_own_deadline():
    """The silent first one is dropped at its first-token deadline, the hedge at its own."""
    p = hedged(A, B)
    p.at(2.0) >> Tick() << Cancel(0, Kind.FIRST_TOKEN_TIMEOUT)
    p.at(2.5) >> Tick() << Cancel(1, Kind.FIRST_TOKEN_TIMEOUT) << Lose
    assert p


def test_the_total_deadline_ends_all():
    """At the request's own deadline nobody is left running."""
    p = hedged(A, B)
    p.at(60.0) >> Tick() << Cancel(0, Kind.TOTAL_TIMEOUT) << Cancel(1, Kind.TOTAL_TIMEOUT) << Lose
    assert p


def test_a_hedge_that_is_refused_is_asked_again_as_a_fallback():
    """No budget for a hedge is no reason to leave a backend out when the first one fails."""
    p = Playbook(race(A, B)) << Admit(0, A)
    p >> Admitted(0) << Open(0) >> Connected(0) << Begin(0)
    p.at(0.5) >> Tick() << Admit(1, B, hedge=True) >> Refused(1, Fault(Kind.OVERLOADED))
    p.at(0.6) >> Failed(0, SLOW) << Admit(2, B) >> Admitted(2) << Open(2)
    assert p


def test_once_is_enough():
    """A second hedge of the same request is not begun."""
    p = hedged(A, B, C) >> Failed(1, SLOW)
    p.at(1.0) >> Tick()
    assert p


def test_a_backend_on_probation_is_no_hedge():
    """Its one probe is for those who have nowhere else to go."""
    probe = Candidate(B.backend, B.timeouts, probe=True)
    p = Playbook(race(A, probe)) << Admit(0, A)
    p >> Admitted(0) << Open(0)
    p.at(0.5) >> Tick()
    assert p


def test_without_a_delay_nothing_is_hedged():
    """As long as nobody knows how long the backend takes, it is left alone."""
    p = Playbook(race(A, B, delay=None)) << Admit(0, A)
    p >> Admitted(0) << Open(0) >> Connected(0) << Begin(0)
    assert p.race.deadline == 2.0


def test_news_of_the_cancelled_is_passed_over():
    """What a cancelled attempt still says changes nothing."""
    p = hedged(A, B)
    p.at(2.0) >> Tick() << Cancel(0, Kind.FIRST_TOKEN_TIMEOUT) >> Committed(0) >> Failed(0, SLOW)
    p >> Committed(1) << Win(1) >> Failed(1, SLOW) >> Tick()
    assert p


def test_a_lone_retry_is_waited_for():
    """With two backends down the last failure may be retried after its jittered wait, as without a hedge."""
    reset = Fault(Kind.RESET)
    p = hedged(A, B) >> Failed(1, reset) >> Failed(0, reset) << Pause()
    p.at(0.9) >> Tick() << Admit(2, A) >> Admitted(2) << Open(2)
    assert p


def test_five_in_a_hundred_at_most():
    """The first hedge is earned by twenty requests, and quiet times save up ten at most."""
    purse, spent = Purse(0.05), []
    for request in range(1, 201):
        purse.asked()
        if purse.spend():
            spent.append(request)
    assert spent == list(range(20, 201, 20))
    for _ in range(10_000):
        purse.asked()
    assert sum(purse.spend() for _ in range(50)) == 10


def test_settings_become_what_a_plan_carries():
    """The live percentile is the default."""
    assert Hedge().hedging().after is None
    assert Hedge(after="300ms").hedging().after == 0.3


OUTCOMES = [Fault(kind) for kind in (Kind.RESET, Kind.PROVIDER_ERROR, Kind.PROVIDER_REFUSED, Kind.CONNECT_TIMEOUT)]


class World:
    """Obeys a race in an order that chance chooses, and checks what must hold whatever the order."""

    def __init__(self, machine: HedgedRace, draw) -> None:
        self.machine, self.draw, self.now = machine, draw, 0.0
        self.waiting: dict[int, type] = {}  # attempt -> what it has been told to do
        self.permits: list[int] = []
        self.opened: list[int] = []
        self.closed: list[int] = []
        self.ended: list[Win | Lose] = []

    def run(self) -> None:
        self.obey([self.machine.start(0.0)])
        for _ in range(200):
            if self.ended:
                break
            self.obey(self.machine.on(self.event(), self.now))
            assert len(self.waiting) <= 2
            assert len(self.permits) <= 3
        assert len(self.ended) == 1
        if isinstance(self.ended[0], Win):
            winner = self.ended[0].attempt
            assert winner not in self.closed
            self.closed.append(winner)  # by whoever relays it
        assert sorted(self.closed) == sorted(set(self.opened) | set(self.permits))
        assert not self.waiting

    def obey(self, commands) -> None:
        for command in commands:
            assert not self.ended
            if isinstance(command, Win | Lose):
                self.ended.append(command)
                if isinstance(command, Win):
                    assert self.waiting.pop(command.attempt, None) is None
            elif isinstance(command, Cancel):
                told = self.waiting.pop(command.attempt)
                if told is not Admit:
                    self.closed.append(command.attempt)
            elif not isinstance(command, Pause):
                assert command.attempt not in self.waiting
                self.waiting[command.attempt] = type(command)

    def event(self):
        if not self.waiting or self.draw(st.integers(0, 3)) == 0:
            self.now = max(self.now, self.machine.deadline)
            return Tick()
        attempt = self.draw(st.sampled_from(sorted(self.waiting)))
        told = self.waiting.pop(attempt)
        fault = self.draw(st.sampled_from([None, *OUTCOMES]))
        if told is Admit:
            if fault is not None:
                return Refused(attempt, Fault(Kind.RATE_LIMITED, retry_after=2.0))
            self.permits.append(attempt)
            return Admitted(attempt)
        if told is Open:
            self.opened.append(attempt)
        if fault is not None:
            self.closed.append(attempt)
            return Failed(attempt, fault)
        return Connected(attempt) if told is Open else Committed(attempt)


@settings(max_examples=400, deadline=None)
@given(data=st.data(), most=st.integers(2, 3), count=st.integers(1, 4))
def test_whatever_the_order_one_ends_it_and_all_are_closed(data, most: int, count: int):
    """Exactly one end; every attempt that was let through is closed exactly once, so every permit is settled once."""
    machine = race(*(A, B, C, A)[:count], most=most)
    World(machine, data.draw).run()
