"""What each kind of fault means."""

import pytest

from twospeed.errors import MEANING, RETRY_SAME, Fault, Kind, Source

NEVER_FALL_BACK = {400, 401, 403, 404, 405, 408, 413, 414, 415, 422, 426, 431, 499}


def test_every_kind_has_its_meaning():
    """No failure without an owner and a status."""
    assert set(MEANING) == set(Kind)


@pytest.mark.parametrize("kind", Kind)
def test_statuses_are_errors(kind):
    """A fault never looks like a success."""
    assert 400 <= MEANING[kind].status <= 599


@pytest.mark.parametrize("kind", [kind for kind in Kind if MEANING[kind].source is Source.CLIENT])
def test_what_the_client_did_wrong_is_not_tried_elsewhere(kind):
    """R2, R8: a client's mistake costs one attempt and counts against no backend."""
    assert (MEANING[kind].fallback, MEANING[kind].trips) == (False, False)
    assert MEANING[kind].status in NEVER_FALL_BACK


@pytest.mark.parametrize("kind", [kind for kind in Kind if MEANING[kind].trips])
def test_only_backends_trip_breakers(kind):
    """Our own limits and the operator's key say nothing about a backend's health."""
    assert MEANING[kind].source is Source.BACKEND


def test_a_rate_limit_is_no_failure_of_the_backend():
    """R8: 429 never counts for the breaker, but another backend may be tried."""
    assert MEANING[Kind.PROVIDER_RATE_LIMITED] == (Source.BACKEND, 429, True, False)


def test_the_same_provider_is_tried_again_only_where_that_is_safe():
    """R4: connect failures, resets before the head, and a short Retry-After."""
    assert {kind for kind in RETRY_SAME if not MEANING[kind].fallback} == set()
    assert Kind.FIRST_TOKEN_TIMEOUT not in RETRY_SAME


def test_a_fault_speaks_for_itself():
    """Without a message its kind says what happened in a sentence; the detail is for operators and not part of it."""
    fault = Fault(Kind.CONNECT_FAILED, detail="host db-7 refused")
    assert (fault.message, fault.meaning.status) == ("The model provider could not be reached.", 502)
    assert "db-7" not in str(fault)
