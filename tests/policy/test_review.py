"""The review of a rollout."""

from twospeed.policy.review import review

ROLLOUT = {
    "id": "deep",
    "phase": "rolled_back",
    "attempt": 1,
    "reason": "latency: 2.1 times the stable version",
    "target": {"alias": "coder", "stable": "sim/old", "candidate": "sim/new"},
}
BASE = {"attempt": 1, "share": 0.0, "evidence": "", "figures": None}
READING = {
    "metric": "latency_p99",
    "estimate": 2.1,
    "usual": 1.0,
    "log_e": 5.2,
    "power": 0.9,
    "calls": 41,
    "worst": ["tail", "python", 5.2],
}
EVENTS = [
    {
        **BASE,
        "at": 100.0,
        "event": "ready",
        "before": "preflight",
        "after": "baking",
        "share": 0.05,
        "actor": "ann",
        "reason": "go",
    },
    {
        **BASE,
        "at": 160.0,
        "event": "fail",
        "before": "baking",
        "after": "rolling_back",
        "actor": "judge",
        "reason": "latency | slow",
        "evidence": "cd" * 32,
        "figures": {
            "readings": [READING],
            "calls": [900, 41],
            "sessions": [80, 5],
            "lost": 0,
            "witnesses": [{"trace": "f" * 32, "session": "0123", "latency_ms": 2300.0, "ok": True}],
            "met": ["0123", "4567"],
        },
    },
    {
        **BASE,
        "at": 160.4,
        "event": "done",
        "before": "rolling_back",
        "after": "rolled_back",
        "actor": "judge",
        "reason": "all",
    },
]


def test_a_review_has_all_that_is_asked_in_the_meeting():
    """Outcome, timeline, figures, traces, sessions, checklist."""
    text = review(ROLLOUT, EVENTS, 200.0)
    for part in (
        "# Review of rollout deep",
        "- **Outcome**: rolled back",
        "- **First met by clients until the decision**: 1.0 minutes",
        "- **Decision until every worker served the stable version**: 0.40 s",
        "| 1970-01-01 00:02:40 | 1 | fail | baking | rolling_back | 0% | judge | latency \\| slow | `cdcdcdcdcdcd` |",
        "900 stable and 41 candidate requests of 80 and 5 sessions",
        "| latency_p99 | 1 | 2.1 times | 5.2 | 90% | 41 | tail, python |",
        "| `" + "f" * 32 + "` | `0123` | 2.3e+03 ms | yes |",
        "5 sessions in all",
        "`0123`, `4567`",
        "- [ ] Did users notice",
    ):
        assert part in text


def test_a_review_of_nothing_says_so():
    """A rollout that was aborted before anybody met it."""
    text = review({**ROLLOUT, "phase": "draft", "reason": ""}, [], 200.0)
    assert "not begun" in text
    assert "No decision of this attempt rests on figures" in text
    assert "None." in text
