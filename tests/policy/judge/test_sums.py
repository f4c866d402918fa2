"""Sums per session, language and epoch."""

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from twospeed.policy.judge.sums import WIDTH, Sums, per_start, place, since


def filled(rows):
    """Sums of (session, language, epoch, value), all of the candidate."""
    sums = Sums()
    for session, language, epoch, value in rows:
        number = np.array([sums.session(True, f"s{session}")])
        places = sums.rows(number, np.array([sums.language(f"l{language}")]), epoch)
        sums.add(places, np.full((1, WIDTH), float(value)))
    return sums


ROWS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1), st.integers(0, 4), st.integers(1, 9)), max_size=25)


@given(ROWS)
def test_a_start_counts_everything_from_its_epoch_on(rows):
    """The sum from each start is what one gets by adding up the calls since then."""
    keys, values = filled(rows).table(candidate=True)
    found = since(keys, values[:, :1])
    totals = per_start(found.sums[0], found, 5) if rows else np.zeros(5)
    assert totals.tolist() == [sum(value for *_, epoch, value in rows if epoch >= start) for start in range(5)]


@given(ROWS)
def test_a_session_is_one_witness_per_start(rows):
    """However many languages and epochs a session has, from each start on it is counted once."""
    keys, values = filled(rows).table(candidate=True)
    found = since(keys, values[:, :1])
    counts = per_start(np.ones(len(found.until)), found, 5) if rows else np.zeros(5)
    assert counts.tolist() == [len({row[0] for row in rows if row[2] >= start}) for start in range(5)]


@given(ROWS, ROWS)
def test_two_replicas_add_up_to_one(first, second):
    """What two have seen of the same step is what one would have seen."""
    merged = filled(first)
    merged.merge(filled(second))
    together = filled(first + second)
    for sums in (merged, together):
        assert sums.count == together.count
    assert _as_dict(merged) == _as_dict(together)


@given(ROWS)
def test_it_survives_as_plain_text(rows):
    """Written as JSON and read again it is the same."""
    sums = filled(rows)
    assert _as_dict(Sums.from_plain(json.loads(json.dumps(sums.to_plain())))) == _as_dict(sums)


def test_the_arms_are_apart():
    """A session that met both versions is two sessions."""
    sums = Sums()
    assert sums.session(True, "s") != sums.session(False, "s")
    assert sums.count == (1, 1)
    assert place("ttft") == 3


def _as_dict(sums):
    names = {number: name for name, number in sums.languages.items()}
    sessions = {number: key for key, number in sums.sessions.items()}
    keys, values = sums.table(candidate=True)
    return {
        (sessions[session], names[language], epoch): row.tolist()
        for (session, language, epoch), row in zip(keys.tolist(), values, strict=True)
    }
