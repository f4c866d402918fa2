"""What a finished request tells the judge."""

import pytest

from twospeed.errors import Kind
from twospeed.policy.sighting import sighted
from twospeed.types import Attempt, Backend, Offer, Record

OLD, NEW = (Backend(provider, "m", "r", f"{provider}/m@r") for provider in ("old", "new"))
OFFER = Offer("r", 1, NEW.name, OLD.name)


def record(arm="candidate", tried=((NEW, None),), **fields):
    """Two seconds long, first content after half a second."""
    attempts = [Attempt(backend, 100.0, kind=kind) for backend, kind in tried]
    told = {"started_wall": 1_000.0, "committed_at": 100.5, "ended_at": 102.0, "stream": True, "session": "s"}
    told |= {"bytes_in": 4_000, "rollout": "r", "arm": arm, "step": 1, "offer": OFFER, "attempts": attempts}
    return Record("id", 100.0, endpoint="/v1/chat/completions", **(told | fields))


def test_a_whole_answer_is_told_with_its_times():
    """When it ended, how long it took, and how large the prompt was, in one measure for both versions."""
    sighting = sighted(record(language="go"), lost=3)
    seen = sighting.seen
    assert (sighting.rollout, sighting.attempt, sighting.step, sighting.lost) == ("r", 1, 1, 3)
    assert (seen.ts, seen.arm, seen.ok, seen.latency_ms, seen.ttft_ms) == (1_002.0, "candidate", True, 2_000.0, 500.0)
    assert (seen.language, seen.stall) == ("go", False)
    assert sighted(record("stable", ((OLD, None),))).seen.prompt_tokens == seen.prompt_tokens


@pytest.mark.parametrize(
    "tried",
    [
        ((NEW, Kind.PROVIDER_ERROR), (OLD, None)),
        ((NEW, Kind.PROVIDER_REFUSED), (OLD, None)),
        ((OLD, None),),  # the breaker of the candidate was open, or its limits were full
    ],
)
def test_what_the_candidate_did_not_answer_is_its_failure(tried):
    """Whoever served the client in the end."""
    assert sighted(record(tried=tried)).seen.ok is False


def test_a_fault_is_a_failure_of_the_version_that_was_to_serve():
    """In both arms alike."""
    assert sighted(record(fault=Kind.IDLE_TIMEOUT)).seen.stall is True
    assert sighted(record("stable", ((OLD, Kind.RESET),), fault=Kind.RESET)).seen.ok is False


def test_who_leaves_before_the_first_word_waited_at_least_so_long():
    """A version that is slow until its clients give up is not excused by that; nor does a stop in the middle count as speed."""
    early = sighted(record(fault=Kind.CLIENT_GONE, committed_at=None)).seen
    assert (early.ok, early.latency_ms, early.ttft_ms) == (None, 2_000.0, 2_000.0)
    late = sighted(record(fault=Kind.CLIENT_GONE)).seen
    assert (late.latency_ms, late.ttft_ms) == (None, 500.0)


@pytest.mark.parametrize(
    "fields",
    [
        {"arm": ""},
        {"arm": "shadow"},
        {"offer": None},
        {"fault": Kind.BAD_REQUEST},
        {"fault": Kind.OVERLOADED, "tried": ()},
        {"fault": Kind.DRAINING, "tried": ()},
        {"notes": ["withdrawn:r"], "tried": ((NEW, Kind.WITHDRAWN), (OLD, None))},
    ],
)
def test_what_is_nobodys_doing_tells_nothing(fields):
    """Requests of no arm, of clients at fault, never tried, or called away by a rollback."""
    assert sighted(record(**fields)) is None
