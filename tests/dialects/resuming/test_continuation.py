"""The request that asks somebody else to go on."""

import json

import pytest

from twospeed.dialects.anthropic_messages import DIALECT as MESSAGES
from twospeed.dialects.openai_chat import DIALECT as CHAT
from twospeed.dialects.openai_completions import DIALECT as COMPLETIONS
from twospeed.dialects.resuming import continued

ASKED = {"role": "user", "content": "go"}


def chat(prefill: str, text: str = "one ", **more: object):
    body = json.dumps({"model": "m", "messages": [ASKED], "max_tokens": 100, "stream": True, **more})
    made = continued(CHAT.decode(body.encode(), "/v1/chat/completions"), text, 30, prefill)
    return made and (json.loads(made[0]), made[1])


@pytest.mark.parametrize(
    ("prefill", "message", "beside"),
    [
        ("plain", {}, {}),
        ("prefix", {"prefix": True}, {}),
        ("continue", {}, {"continue_final_message": True, "add_generation_prompt": False}),
    ],
)
def test_chat_is_shown_the_beginning_of_its_answer(prefill: str, message: dict, beside: dict):
    """In the provider's own way, without white space at the end, and with fewer tokens left."""
    body, shown = chat(prefill)
    assert shown == "one"
    assert body["messages"] == [ASKED, {"role": "assistant", "content": "one", **message}]
    assert body["max_tokens"] == 70
    assert {key: body[key] for key in beside} == beside


def test_who_cannot_go_on_is_not_asked():
    """Without a known way there is no request, and none for a model that is to reason first."""
    assert chat("none") is None
    assert chat("plain", thinking={"type": "enabled"}) is None
    assert chat("plain", thinking={"type": "disabled"}) is not None


@pytest.mark.parametrize(
    "more",
    [
        {"n": 2},
        {"best_of": 3},
        {"response_format": {"type": "json_object"}},
        {"guided_regex": "a+"},
        {"grammar": "root ::= x"},
        {"echo": True},
        {"logprobs": True},
        {"logprobs": 1},
    ],
)
def test_only_one_text_of_its_own_form_goes_on(more: dict):
    """Several answers, a given form, a repeated prompt or figures per token: the rest would not fit what there is."""
    assert chat("plain", **more) is None
    asked = json.dumps({"model": "m", "prompt": "def", "stream": True, **more}).encode()
    assert continued(COMPLETIONS.decode(asked, "/v1/completions"), "x", 1, "none") is None


def test_usual_wishes_forbid_nothing():
    """One answer in plain text may be asked for in so many words."""
    assert chat("plain", n=1, logprobs=False, response_format={"type": "text"}) is not None


def test_an_answer_that_the_client_began_goes_on():
    """Its own last message is lengthened, not followed by a second one."""
    begun = [ASKED, {"role": "assistant", "content": "zero "}]
    assert chat("plain", messages=begun)[0]["messages"] == [ASKED, {"role": "assistant", "content": "zero one"}]


def test_nothing_but_space_is_asked_anew():
    """A message of no text at all would be refused."""
    assert chat("plain", text="\n ")[0]["messages"] == [ASKED]


def test_at_least_one_token_is_left():
    """A limit that is used up is no limit of zero."""
    assert chat("plain", max_tokens=10)[0]["max_tokens"] == 1


def test_completions_go_on_behind_the_prompt():
    """The text is appended as it is; what stands behind the cursor stays."""
    body = b'{"model": "m", "prompt": "def ", "suffix": "\\n", "max_tokens": 50}'
    request = COMPLETIONS.decode(body, "/v1/completions")
    made, shown = continued(request, "f() ", 10, "none")
    assert json.loads(made) == {"model": "m", "prompt": "def f() ", "suffix": "\n", "max_tokens": 40}
    assert shown == "f() "


def test_several_prompts_are_not_continued():
    """Nobody knows which of them broke off."""
    request = COMPLETIONS.decode(b'{"model": "m", "prompt": ["a", "b"]}', "/v1/completions")
    assert continued(request, "x", 1, "none") is None


def test_messages_are_prefilled():
    """The same in Anthropic's API."""
    body = json.dumps({"model": "m", "messages": [ASKED], "max_tokens": 100}).encode()
    made, _ = continued(MESSAGES.decode(body, "/v1/messages"), "one", 1, "plain")
    assert json.loads(made)["messages"][-1] == {"role": "assistant", "content": "one"}
