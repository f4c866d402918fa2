"""Queries written from the table of instruments."""

import pytest
from tests.promql import selectors

from twospeed.telemetry.instruments import ATTEMPTS, FIRST_TOKEN, MEMORY
from twospeed.telemetry.promql import highest, lowest, quantile, rate, select, total


def test_a_counter_is_asked_for_its_rate():
    """Summed over all but the labels named, and over what was chosen at the top of the page."""
    assert rate(ATTEMPTS, ("outcome",), tier="fast") == (
        'sum by (outcome) (rate(twospeed_attempts_total{job=~"$job",provider=~"$provider",model=~"$model",tier="fast"}'
        "[$__rate_interval]))"
    )


def test_labels_may_be_compared_in_four_ways():
    """Equal unless the value says how."""
    for value, matcher in (("ok", '="ok"'), ("!=ok", '!="ok"'), ("=~a|b", '=~"a|b"'), ("!~a", '!~"a"')):
        assert f"outcome{matcher}" in select(ATTEMPTS, outcome=value)


def test_what_was_chosen_holds_beside_a_condition():
    """A choice at the top of the page is replaced by a fixed value, and kept where the query only leaves something out."""
    assert 'tier=~"$tier"' not in select(ATTEMPTS, tier="fast")
    assert 'tier=~"$tier"' in (kept := select(ATTEMPTS, tier="&!=none"))
    assert 'tier!="none"' in kept


def test_a_histogram_is_asked_by_its_buckets():
    """The bound of each bucket is among the labels that are kept."""
    query = quantile(0.95, FIRST_TOKEN, ("tier",))
    (selector,) = selectors(query)
    assert selector.name == "twospeed_request_first_token_seconds_bucket"
    assert selector.grouped == {"le", "tier"}


def test_gauges_are_added_or_compared():
    """What belongs to each instance is added, what all say of the same thing is not."""
    asked = [ask(MEMORY, ("instance",)).partition(" ")[0] for ask in (total, highest, lowest)]
    assert asked == ["sum", "max", "min"]


def test_a_label_that_does_not_exist_is_refused():
    """A typo is found when the query is written, not when the panel stays empty."""
    with pytest.raises(ValueError, match="outcom"):
        rate(ATTEMPTS, ("outcom",))
