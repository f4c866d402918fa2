"""What every answer says about itself, and the answers that no backend gave."""

from twospeed.answering import Answering
from twospeed.types import Record


def record(**more):
    """A record as it is when nothing is known yet."""
    return Record(
        id="req_1", started_at=0.0, started_wall=0.0, endpoint="/v1/chat/completions", dialect="openai_chat", **more
    )


def test_headers_are_complete_on_every_answer():
    """Id, tier, backend, reason and attempts, in this order."""
    names = [name for name, _ in Answering(lambda: 0.0).headers(record(), None)]
    assert names == [
        b"x-request-id",
        b"x-twospeed-tier",
        b"x-twospeed-backend",
        b"x-twospeed-reason",
        b"x-twospeed-attempts",
    ]


def test_an_answer_of_our_own_leaves_out_what_is_not_known():
    """No backend was asked, so none is named."""
    known = dict(Answering(lambda: 0.0).known(record(tier="fast")))
    assert known == {b"x-request-id": b"req_1", b"x-twospeed-tier": b"fast", b"x-twospeed-attempts": b"0"}


def test_a_limited_key_hears_of_its_own_limits():
    """They stand beside the request's id, whatever the provider said of its own."""
    headers = Answering(lambda: 0.0).headers(record(), None, [(b"x-ratelimit-limit-requests", b"5")])
    assert (b"x-ratelimit-limit-requests", b"5") in headers


def test_reasons_are_at_most_three_and_never_break_a_line():
    """A header holds one line of plain bytes."""
    reasons = dict(Answering(lambda: 0.0).headers(record(reasons=("a", "b\u20ac", "c", "d")), None))
    assert reasons[b"x-twospeed-reason"] == b"a,b?,c"


def test_an_arm_is_named_only_in_a_rollout():
    """Who takes part can see it."""
    names = dict(Answering(lambda: 0.0).headers(record(rollout="r1", arm="candidate"), None))
    assert (names[b"x-twospeed-rollout"], names[b"x-twospeed-arm"]) == (b"r1", b"candidate")
