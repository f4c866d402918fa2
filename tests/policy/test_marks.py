"""Marks that decide without weighing words."""

import json

import msgspec
import pytest

from twospeed.policy import marks
from twospeed.policy.content import open_all
from twospeed.types import Conversation, Message


def raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(value).encode())


def said(text: str, **fields: object) -> Conversation:
    return Conversation("/v1/chat/completions", [Message("user", raw(text))], **fields)  # type: ignore[arg-type]


def plans(text: str) -> bool:
    asked = said(text)
    return marks.plan_mode(asked, marks.system_marks(asked))


def test_images_are_seen_in_messages_and_in_tool_results():
    """A screenshot counts wherever it hides."""
    shot = {"type": "image", "source": {"type": "base64", "data": "aGk="}}
    assert marks.has_image(open_all([Message("user", raw([{"type": "image_url", "image_url": {"url": "data:"}}]))]))
    assert marks.has_image(open_all([Message("user", raw([{"type": "tool_result", "content": [shot]}]))]))
    assert not marks.has_image(open_all([Message("user", raw([{"type": "text", "text": "an image"}]))]))


def test_a_title_call_is_a_side_call():
    """Small, without tools, told to write a title."""
    call = said(
        "how do I parse yaml", body_bytes=2500, system=raw("You are a title generator. You output ONLY a thread title.")
    )
    assert marks.side_call(call, marks.system_marks(call), "how do I parse yaml")


def test_a_request_with_tools_is_no_side_call():
    """The main call of an agent is not mistaken for its title call."""
    call = said("x", tools=["bash"], body_bytes=2500, system=raw("Write a short summary of the changes at the end."))
    assert marks.system_marks(call).names
    assert not marks.side_call(call, marks.system_marks(call), "x")


@pytest.mark.parametrize(
    "text", ["Plan mode is active. Do not edit.", "# Current Mode\nPLAN MODE", "<mode>plan</mode>"]
)
def test_plan_mode_is_seen(text: str):
    """Plan mode shows in the newest user message."""
    assert plans(text)


@pytest.mark.parametrize(
    "text", ["You have left plan mode.", "Write a plan for the model.", "# Current Mode\nACT MODE"]
)
def test_other_talk_of_plans_is_not_plan_mode(text: str):
    """Only a mode that is on counts."""
    assert not plans(text)


def test_a_read_only_sub_agent_is_seen_by_its_tools():
    """A search agent has no tool to change anything."""
    system = marks.system_marks(said("x", system=raw("You are a file search specialist.")))
    assert marks.read_only_agent(["Glob", "Grep", "Read"], system)
    assert not marks.read_only_agent(["Glob", "Edit"], system)


def test_a_long_conversation_is_searched_for_plan_mode_at_both_ends():
    """A note of the client in the last messages counts, or in the first; what lies between is too old to be looked at."""
    plain = [Message("user" if place % 2 else "assistant", raw("Go on.")) for place in range(60)]
    for place in range(60):
        noted = Message("system", raw("Plan mode is active."))
        asked = Conversation("/v1/chat/completions", [*plain[:place], noted, *plain[place + 1 :]])
        seen = marks.plan_mode(asked, marks.System(False, False, False))
        assert seen == (1 <= place <= marks.NOTED_FIRST or place >= 60 - marks.NOTED + marks.NOTED_FIRST)


@pytest.mark.parametrize(
    ("text", "code", "small"),
    [
        ("Write a commit message for this diff.", "+ x = 1", "side_call"),
        ("Complete the code.", "x = <cursor>", "cursor"),
        ("Complete the code.", "x = 1", ""),
        ("Complete the code at █.", "", "cursor"),
        ("", "x = <cursor>", ""),
        ("Write a commit message. " * 20, "", ""),
    ],
)
def test_small_work_is_told_by_few_words(text: str, code: str, small: str):
    """A short instruction for a commit message or a hole in code is small; the same words in a long one are not."""
    assert marks.small_work(text, code) == small
