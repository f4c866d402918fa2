"""A tier with its reasons for every request."""

import json

import msgspec
import pytest
from pydantic import ValidationError

from twospeed.policy.classify import Classifier, Classify, LowConfidence, Target
from twospeed.types import Conversation, Message

CLASSIFIER = Classifier(Classify())


def raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(value).encode())


def asks(text: object, **fields: object) -> Conversation:
    return Conversation("/v1/chat/completions", [Message("user", raw(text))], **fields)  # type: ignore[arg-type]


def test_autocompletion_is_fast():
    """Keystroke completions never wait for the deep tier."""
    for endpoint in ("/v1/completions", "/v1/fim/completions", "completions"):
        verdict = CLASSIFIER.classify(Conversation(endpoint, prompt="def f(", suffix=")"))
        assert (verdict.tier, verdict.reasons[0]) == ("fast", "completion")


def test_more_than_the_fast_tier_can_read_is_deep():
    """A context beyond the window goes deep, even a completion."""
    verdict = CLASSIFIER.classify(asks("hello", body_bytes=2_000_000))
    assert (verdict.tier, verdict.reasons[0]) == ("deep", "context:beyond_fast")


def test_images_are_deep_unless_the_fast_tier_sees():
    """The fast tier is taken to be text only."""
    picture = asks([{"type": "image_url", "image_url": {"url": "data:"}}, {"type": "text", "text": "what is this"}])
    assert CLASSIFIER.classify(picture).reasons[0] == "images"
    assert Classifier(Classify(fast_images=True)).classify(picture).reasons[0] != "images"


def test_high_effort_is_deep():
    """Who asks for much thinking gets it."""
    assert CLASSIFIER.classify(asks("rename x to y", effort="high")).tier == "deep"


def test_a_title_call_is_fast_even_at_high_effort():
    """A client's own title call stays cheap whatever effort it sends along."""
    call = asks(
        "fix the parser",
        effort="high",
        wants_schema=True,
        body_bytes=2200,
        system=raw("Generate a concise title for this session."),
    )
    assert (CLASSIFIER.classify(call).tier, CLASSIFIER.classify(call).reasons[0]) == ("fast", "side_call")


def test_plan_mode_is_deep():
    """Plans are made by the deep tier."""
    assert CLASSIFIER.classify(asks("Plan mode is active.\nAdd a button.", tools=["read"])).reasons[0] == "plan_mode"


def test_plan_mode_is_found_in_the_middle():
    """Claude Code switches it on in a long system message behind the first of the user, and says so once only."""
    note = (
        "Skills: "
        + "one more skill. " * 400
        + "Plan mode is active. The user does not want you to execute yet."
        + "x " * 2_000
    )
    messages = [Message("user", raw("how would you fix add?")), Message("system", raw(note))]
    later = [Message("assistant", raw("I read it.")), Message("user", raw([{"type": "tool_result", "content": "ok"}]))]
    for turn in (messages, [*messages, *later]):
        assert CLASSIFIER.classify(Conversation("/v1/messages", turn, tools=["Read"])).reasons[0] == "plan_mode"
    plain = [messages[0], Message("system", raw("You may enter plan mode. Skills: none."))]
    assert CLASSIFIER.classify(Conversation("/v1/messages", plain, tools=["Read"])).reasons[0] != "plan_mode"


def test_a_run_in_trouble_is_deep_for_as_long_as_it_lasts():
    """Failing calls escalate."""
    call = [{"id": "c", "function": {"name": "bash", "arguments": '{"command": "make"}'}}]
    steps = [Message("assistant", raw("again"), raw(call)), Message("tool", raw("exit code: 2\nfatal: no rule"))] * 3
    verdict = CLASSIFIER.classify(
        Conversation("/v1/chat/completions", [Message("user", raw("build it")), *steps], tools=["bash"])
    )
    assert verdict.tier == "deep"
    assert verdict.reasons[0].startswith("agent:")
    assert "tools:1" in verdict.reasons


def test_the_line_follows_the_target():
    """A threshold of 0 sends all to deep, one of 1 none."""
    assert Classifier(Classify(target=Target(threshold=0.0))).classify(asks("hello")).tier == "deep"
    assert Classifier(Classify(target=Target(threshold=1.0))).classify(asks("hello")).tier == "fast"
    lines = [Classifier(Classify(target=Target(deep_share=share))).line for share in (0.1, 0.3, 0.9)]
    assert lines == sorted(lines, reverse=True)


def test_the_line_follows_the_traffic():
    """With a share of 30 percent the line rises while more goes deep, falls while less does, and within bounds only."""
    line = Classifier(Classify(target=Target(deep_share=0.3, adapt=0.1)))
    for _ in range(100):
        line.adapt("deep")
    assert line.line == pytest.approx(line.first_line + 100 * 0.0005 * 0.7)
    for _ in range(10_000):
        line.adapt("fast")
    assert line.line == pytest.approx(line.first_line - 0.1)
    for _ in range(10_000):
        line.adapt("deep")
    assert line.line == pytest.approx(line.first_line + 0.1)


@pytest.mark.parametrize(
    "target", [Target(), Target(threshold=0.4), Target(quality=0.9), Target(deep_share=0.3, adapt=0.0)]
)
def test_other_lines_stand_still(target: Target):
    """Only a share that was asked for moves the line."""
    line = Classifier(Classify(target=target))
    line.adapt("deep")
    assert line.line == line.first_line


def test_one_target_only():
    """Two targets at once are refused."""
    with pytest.raises(ValidationError, match="give one"):
        Target(threshold=0.5, quality=0.9)


def test_unsure_requests_go_where_told():
    """Scores near the line go to the tier of low_confidence."""
    unsure = Classify(low_confidence=LowConfidence(band=1.0, tier="deep"))
    verdict = Classifier(unsure).classify(asks("what is a list"))
    assert (verdict.tier, verdict.reasons[0]) == ("deep", "low_confidence")


@pytest.mark.parametrize(
    "content", [None, 3, {"a": 1}, [], [1], [{"type": "text"}], "", "\x00", [{"type": "text", "text": None}]]
)
def test_odd_content_still_gets_a_verdict(content: object):
    """Whatever stands in content, there is an answer."""
    assert CLASSIFIER.classify(asks(content)).tier in ("fast", "deep")
