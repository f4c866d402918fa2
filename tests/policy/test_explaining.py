"""A decision in sentences."""

import pytest

from twospeed.policy.explaining import HEADER_BYTES, header, in_words, sentences
from twospeed.types import Backend, Candidate, Timeouts, Verdict, Weighed

TIMEOUTS = Timeouts(1.0, 2.0, 3.0, 60.0)
ORDER = [Candidate(Backend(p, "m", "r", f"{p}/m@r"), TIMEOUTS) for p in "abcde"]


def test_everything_that_mattered_is_said():
    """Tier and cause, score and line, signals, the cache, what auto says, the order."""
    weighed = Weighed("fast", 60_000, 0.207, 0.1, 0.0, made=False, trip=0.124)
    verdict = Verdict("fast", ("session:cache", "score:high", "tools:3"), 0.6, weighed=weighed)
    assert sentences(verdict, 0.5, ("its wording (deep 0.8)",), ORDER) == (
        "fast: the conversation stays where its prompt is cached: to move costs more than it is worth",
        "besides: its score is at or above the line",
        "score 0.60, the line is at 0.50",
        "strongest signals: its wording (deep 0.8)",
        "did not change the tier: the deep tier would read 60,000 tokens anew for $0.207 more, half of going and coming back "
        "costs $0.124 and is worth $0.100; changes have cost $0.000 so far",
        "order: a/m@r, then b/m@r, then c/m@r and 2 more",
    )


def test_auto_is_quoted_where_it_only_watched():
    """Whoever tries routing out sees what it would have done."""
    verdict = Verdict("deep", ("pinned:model",), observed=Verdict("fast", ("side_call",), 0.02))
    assert sentences(verdict, None, (), ())[-1].startswith("auto would have said fast: it is a side call")


@pytest.mark.parametrize(
    "reason",
    [
        *(
            "rule:ci",
            "pinned:operator",
            "pinned:header",
            "pinned:tier",
            "pinned:alias",
            "pinned:model",
            "pinned:backend",
        ),
        *("context:beyond_fast", "images", "completion", "cursor", "side_call", "effort:high", "plan_mode"),
        *(
            "sub_agent:read_only",
            "agent:failing",
            "agent:spinning",
            "agent:exploring",
            "score:high",
            "score:low",
            "low_confidence",
        ),
        *("key:fast_only", "dialect:deep_only", "down:fast", "session:cache", "session:spend"),
    ],
)
def test_every_reason_has_its_words(reason: str):
    """No code reaches a reader undigested, and an unknown one is said as it is."""
    assert in_words(reason) != reason
    assert "{" not in in_words(reason)
    assert in_words("new:thing") == "new:thing"


def test_a_header_is_bounded_and_plain():
    """Whatever the names of models, the header can be sent."""
    value = header(["modèle\n" * 1_000])
    assert len(value) == HEADER_BYTES
    assert b"\n" not in value
