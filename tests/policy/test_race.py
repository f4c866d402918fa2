"""The race before the commit point, as dialogues."""

import pytest
from msgspec.structs import replace
from tests.playbook import Playbook

from twospeed.errors import Fault, Kind
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
    Race,
    Refused,
    Tick,
    Win,
)
from twospeed.types import Backend, Candidate, Offer, Plan, Timeouts


def candidate(name: str) -> Candidate:
    backend = Backend(provider=name, model="m", region="r", name=f"{name}/m@r")
    return Candidate(backend, Timeouts(connect=1.0, first_token=2.0, idle=5.0, total=60.0))


A, B, C, D = (candidate(name) for name in "abcd")


def race(*candidates: Candidate, total: float = 60.0, stream: bool = True, replayable: bool = True) -> Race:
    plan = Plan("fast", candidates, deadline=total, stream=stream, replayable=replayable)
    return Race(plan, roll=0.5)


def opened(machine: Race) -> Playbook:
    """The first candidate is admitted and connected."""
    return (
        (Playbook(machine) << Admit(0, machine._plan.candidates[0]))
        >> Admitted(0)
        << Open(0)
        >> Connected(0)
        << Begin(0)
    )


def test_first_candidate_that_answers_wins():
    """A healthy backend answers and nothing else is asked."""
    assert opened(race(A, B)) >> Committed(0) << Win(0)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("total", [60.0, 1.5])
def test_an_attempt_that_goes_well_may_be_told_without_events(stream: bool, total: float):
    """Whoever hears no commands is told the same deadlines, and the race goes on from there as ever."""
    told, heard = race(A, B, total=total, stream=stream), race(A, B, total=total, stream=stream)
    told.start(0.0)
    heard.start(0.0)
    deadlines = [told.admitted(0.25), told.connected(0.75)]
    heard.on(Admitted(0), 0.25)
    assert deadlines[0] == heard.deadline
    heard.on(Connected(0), 0.75)
    assert deadlines[1] == heard.deadline == told.deadline
    failed = Failed(0, Fault(Kind.RESET))
    assert told.on(failed, 1.0) == heard.on(failed, 1.0) == (Admit(1, B),)


def test_first_token_timeout_falls_back():
    """A connected but silent backend is dropped at its first_token deadline."""
    p = opened(race(A, B))
    p.at(2.0) >> Tick() << Cancel(0, Kind.FIRST_TOKEN_TIMEOUT) << Admit(1, B)
    assert p


def test_connect_timeout_falls_back():
    """A backend that does not accept in time is dropped at its connect deadline."""
    p = Playbook(race(A, B)) << Admit(0, A)
    p >> Admitted(0) << Open(0)
    p.at(1.0) >> Tick() << Cancel(0, Kind.CONNECT_TIMEOUT) << Admit(1, B)
    assert p


def test_early_tick_is_ignored():
    """A timer that fires early changes nothing."""
    p = opened(race(A, B))
    p.at(1.9) >> Tick()
    assert p


def test_unstreamed_request_knows_connect_and_total_only():
    """An unstreamed answer may take until the total deadline before its first byte."""
    p = opened(race(A, B, stream=False))
    p.at(59.0) >> Tick()
    assert p
    assert p.race.deadline == 60.0


def test_total_deadline_ends_the_race():
    """At the request's own deadline the attempt is cancelled and nothing else is tried."""
    machine = race(A, B, total=1.5)
    p = opened(machine)
    p.at(1.5) >> Tick() << Cancel(0, Kind.TOTAL_TIMEOUT) << Lose
    assert p


def test_refused_candidates_cost_nothing():
    """A provider without room is passed over; the next one is asked."""
    full = Fault(Kind.RATE_LIMITED, retry_after=7)
    p = Playbook(race(A, B)) << Admit(0, A)
    p >> Refused(0, full) << Admit(1, B) >> Admitted(1) << Open(1)
    assert p


def test_all_refused_answers_the_refusal_that_ends_first():
    """When every provider is full, the client is told the soonest true time."""
    late, soon = Fault(Kind.RATE_LIMITED, retry_after=40), Fault(Kind.RATE_LIMITED, retry_after=7)
    p = Playbook(race(A, B)) << Admit(0, A)
    p >> Refused(0, late) << Admit(1, B) >> Refused(1, soon) << Lose(soon)
    assert p


@pytest.mark.parametrize("kind", [kind for kind in Kind if Fault(kind).meaning.fallback])
def test_what_may_fall_back_does(kind: Kind):
    """A failure that says so goes to the next candidate at once."""
    assert opened(race(A, B)) >> Failed(0, Fault(kind)) << Admit(1, B)


@pytest.mark.parametrize("kind", [kind for kind in Kind if not Fault(kind).meaning.fallback])
def test_what_must_not_fall_back_ends_the_race(kind: Kind):
    """A failure that is not the backend's is told to the client as it is."""
    fault = Fault(kind)
    assert opened(race(A, B)) >> Failed(0, fault) << Lose(fault)


def test_three_attempts_are_the_most():
    """A fourth backend is not tried."""
    fault = Fault(Kind.PROVIDER_ERROR)
    p = opened(race(A, B, C, D)) >> Failed(0, fault) << Admit(1, B)
    p >> Admitted(1) << Open(1) >> Failed(1, fault) << Admit(2, C) >> Admitted(2) << Open(2)
    p >> Failed(2, fault) << Lose(fault)
    assert p


def test_lone_backend_is_retried_once_after_a_jittered_wait():
    """With nowhere else to go, a reset before the head is tried once more on the same provider."""
    fault = Fault(Kind.RESET)
    p = opened(race(A)) >> Failed(0, fault) << Pause()
    assert p.race.deadline == pytest.approx(0.5 * 0.05)
    p.at(0.025) >> Tick() << Admit(1, A) >> Admitted(1) << Open(1) >> Failed(1, fault) << Lose(fault)
    assert p


@pytest.mark.parametrize(("wait", "pauses"), [(0.3, True), (5.0, False), (None, False)])
def test_provider_429_is_retried_only_when_its_wait_is_short(wait: float | None, pauses: bool):
    """A lone provider that says "in a moment" is asked again then; a long wait is told to the client."""
    fault = Fault(Kind.PROVIDER_RATE_LIMITED, retry_after=wait)
    p = opened(race(A)) >> Failed(0, fault)
    assert p << (Pause() if pauses else Lose(fault))
    if pauses:
        assert p.race.deadline == pytest.approx(0.3)


def test_provider_error_is_not_retried_on_the_same_provider():
    """A 500 is no reason to ask the same provider again."""
    fault = Fault(Kind.PROVIDER_ERROR, status=500)
    assert opened(race(A)) >> Failed(0, fault) << Lose(fault)


def test_stateful_request_is_not_replayed_once_sent():
    """A request that leaves state behind goes nowhere else after its first body byte."""
    fault = Fault(Kind.RESET)
    assert opened(race(A, B, replayable=False)) >> Failed(0, fault) << Lose(fault)


def test_stateful_request_may_fall_back_before_it_was_sent():
    """A refused connection has changed nothing anywhere, so the next backend may have it."""
    fault = Fault(Kind.CONNECT_FAILED)
    p = Playbook(race(A, B, replayable=False)) << Admit(0, A)
    p >> Admitted(0) << Open(0) >> Failed(0, fault, sent=False) << Admit(1, B)
    assert p


def test_no_attempt_without_useful_time():
    """With less than 50 ms left the last fault is answered instead of trying in vain."""
    fault = Fault(Kind.RESET)
    p = opened(race(A, B, total=1.0))
    p.at(0.97) >> Failed(0, fault) << Lose(fault)
    assert p


def test_empty_plan_loses():
    """A plan without candidates is answered, not crashed on."""
    machine = Race(Plan("fast", (), deadline=1.0, stream=True), roll=0.0)
    command = machine.start(0.0)
    assert isinstance(command, Lose)
    assert command.fault.kind is Kind.NO_BACKEND


def waiting(*candidates: Candidate, wait: float = 0.5, total: float = 60.0) -> Race:
    return Race(Plan("fast", candidates, total, stream=True, limit_wait=wait), roll=0.5)


def test_a_limit_that_ends_soon_is_waited_for():
    """Of several full providers the one that has room first is asked again when it has."""
    late, soon = Fault(Kind.RATE_LIMITED, retry_after=0.4), Fault(Kind.RATE_LIMITED, retry_after=0.2)
    p = Playbook(waiting(A, B, C)) << Admit(0, A)
    p >> Refused(0, late) << Admit(1, B) >> Refused(1, soon) << Admit(2, C) >> Refused(2, late) << Pause()
    assert p.race.deadline == 0.2
    p.at(0.2) >> Tick() << Admit(3, B) >> Admitted(3) << Open(3)
    assert p


def test_it_is_waited_for_once():
    """Who finds no room then is told, with what is true then."""
    again = Fault(Kind.RATE_LIMITED, retry_after=0.1)
    p = Playbook(waiting(A)) << Admit(0, A)
    p >> Refused(0, Fault(Kind.RATE_LIMITED, retry_after=0.2)) << Pause()
    p.at(0.2) >> Tick() << Admit(1, A) >> Refused(1, again) << Lose(again)
    assert p


@pytest.mark.parametrize(
    ("kind", "retry_after", "wait", "total"),
    [
        (Kind.RATE_LIMITED, 0.6, 0.5, 60.0),  # longer than the tier allows
        (Kind.RATE_LIMITED, 0.2, 0.5, 1.0),  # longer than a tenth of the time that is left
        (Kind.RATE_LIMITED, 0.2, 0.0, 60.0),  # not wanted
        (Kind.BREAKER_OPEN, 0.2, 0.5, 60.0),  # no limit
        (Kind.RATE_LIMITED, None, 0.5, 60.0),
    ],
)
def test_nobody_waits_in_vain(kind: Kind, retry_after: float | None, wait: float, total: float):
    """Everyone else is told at once."""
    fault = Fault(kind, retry_after=retry_after)
    assert (Playbook(waiting(A, wait=wait, total=total)) << Admit(0, A)) >> Refused(0, fault) << Lose(fault)


def test_a_version_on_trial_is_never_the_last_word():
    """What would be told to the client of any other backend (a 400, a 404) is asked of the next one first."""
    trial = replace(A, offer=Offer("r", 1, "a/m@r", "b/m@r"))
    refused = Fault(Kind.PROVIDER_REFUSED, status=404)
    assert opened(race(trial, B)) >> Failed(0, refused) << Admit(1, B) >> Admitted(1) << Open(1)
    assert opened(race(A, B)) >> Failed(0, refused) << Lose(refused)


def test_what_a_version_on_trial_may_have_stored_is_not_asked_twice():
    """A stateful request that was sent stays where it was sent (R3)."""
    trial = replace(A, offer=Offer("r", 1, "a/m@r", "b/m@r"))
    fault = Fault(Kind.RESET)
    assert opened(race(trial, B, replayable=False)) >> Failed(0, fault) << Lose(fault)
