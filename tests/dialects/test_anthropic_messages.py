"""Messages requests: what is read of them, what is refused, and that the rest stays as it is."""

import json

import pytest

from twospeed.dialects import seals
from twospeed.dialects.anthropic_messages import DIALECT
from twospeed.errors import Fault
from twospeed.types import Request

BODY = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
BILLING = {"type": "text", "text": "x-anthropic-billing-header: cch=1;"}
SYSTEM = {"type": "text", "text": "You are Claude Code."}


def decoded(**members: object) -> Request:
    """A request with these members besides the needed ones."""
    return DIALECT.decode(json.dumps({**BODY, **members}).encode(), "/messages")


def test_what_is_read():
    """System text without the billing line, tools, effort, schema, session of Claude Code."""
    user = json.dumps({"device_id": "d", "session_id": "s-1"})
    asked = decoded(
        system=[BILLING, SYSTEM],
        tools=[{"name": "Bash", "input_schema": {}}, {"type": "web_search_20250305", "name": "web_search"}],
        output_config={"effort": "Low", "format": {"type": "json_schema", "schema": {}}},
        metadata={"user_id": user},
        stream=True,
    )
    seen = DIALECT.conversation(asked)
    assert json.loads(bytes(seen.system)) == [SYSTEM]
    assert (seen.tools, seen.effort, seen.wants_schema) == (["Bash", "web_search"], "low", True)
    assert DIALECT.declared(asked).id == "s-1"
    assert DIALECT.opening(asked) == [json.dumps([SYSTEM]).encode(), b'"hi"']
    assert (asked.stream, asked.max_tokens, asked.stateful) == (True, 9, False)


@pytest.mark.parametrize(
    ("named", "effort"), [("high", ""), ("High", ""), ("max", "max"), ("xhigh", "xhigh"), ("low", "low")]
)
def test_the_effort_of_every_call_is_no_wish(named: str, effort: str):
    """Claude Code sends effort high with each call, which is what the API does unasked; more or less is a wish."""
    assert DIALECT.conversation(decoded(output_config={"effort": named})).effort == effort


@pytest.mark.parametrize(
    ("thinking", "effort"),
    [
        ({"type": "adaptive"}, ""),
        ({"type": "enabled", "budget_tokens": 20_000}, "high"),
        ({"type": "enabled"}, "medium"),
    ],
)
def test_thinking_says_how_hard(thinking: dict, effort: str):
    """A budget is a wish; adaptive thinking is none."""
    assert DIALECT.conversation(decoded(thinking=thinking)).effort == effort


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"messages": []}, "Invalid 'messages': expected array of length >= 1."),
        ({"messages": "hi"}, "Invalid 'messages': expected array, got string."),
        ({"messages": [{"role": 1}]}, "Invalid 'messages[0].role': expected string, got integer."),
        ({"tools": "x"}, "Invalid 'tools': expected array."),
        ({"max_tokens": "9"}, "Invalid 'max_tokens': expected integer | null, got string."),
    ],
)
def test_wrong_types_are_refused_in_anthropics_shape(members: dict, message: str):
    """A field of a wrong type is named, in the error shape that Anthropic's clients read."""
    with pytest.raises(Fault) as caught:
        decoded(**members)
    refusal = DIALECT.refuse(caught.value)
    told = json.loads(refusal.body)
    assert refusal.status == 400
    assert (told["type"], told["error"]) == ("error", {"type": "invalid_request_error", "message": message})


@pytest.mark.parametrize(("levels", "fits"), [(128, True), (129, False), (300, False)])
@pytest.mark.parametrize(
    ("above", "shape"),
    [
        (3, '{"model":"m","messages":[{"role":"user","content":@},{"content":"%"}]}'),
        (3, '{"model":"m","messages":[{"role":"user","content":"%","tool_calls":@}]}'),
        (3, '{"model":"m","messages":[{"role":"user","content":"%","odd":@},{"content":"hi"}]}'),
        (1, '{"model":"m","messages":[{"content":"%"}],"system":@}'),
        (1, '{"model":"m","messages":[{"content":"%"}],"tools":@}'),
        (1, '{"model":"m","messages":[{"content":"%"}],"odd":@}'),
    ],
)
@pytest.mark.parametrize("text", ["", "[{]}" * 2_000])
def test_depth_is_bounded(levels: int, fits: bool, above: int, shape: str, text: str):
    """A body nests 128 levels and no more, wherever it nests and however long it is."""
    body = shape.replace("@", "[" * (levels - above) + "]" * (levels - above)).replace("%", text).encode()
    if fits:
        assert DIALECT.decode(body, "/messages").model == "m"
        return
    with pytest.raises(Fault) as caught:
        DIALECT.decode(body, "/messages")
    assert caught.value.message == "Invalid request body: nested more than 128 levels deep."


def test_only_the_model_changes():
    """Signatures over thinking hold: not a byte but those of the model changes."""
    body = b'{"messages" : [{"role":"assistant","content":[{"type":"thinking","thinking":"\\u00fc","signature":"a=="}]}],\n "model":"auto","max_tokens":1e3 }'
    asked = DIALECT.decode(body.replace(b"1e3", b"9"), "/messages")
    assert DIALECT.encode(asked, "claude", True) == body.replace(b"1e3", b"9").replace(b'"auto"', b'"claude"')


def test_only_thinking_of_others_is_left_out():
    """Thinking that another provider's answer brought is dropped before Anthropic sees it; its own stays."""
    own = {"type": "thinking", "thinking": "a", "signature": "own=="}
    foreign = {"type": "thinking", "thinking": "b", "signature": seals.seal("other", b"{}")}
    call = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    turns = [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": [own, call]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "ok"}]},
        {"role": "assistant", "content": [foreign, {**call, "id": "u"}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "u", "content": "ok"}]},
    ]
    asked = decoded(messages=turns, thinking={"type": "enabled", "budget_tokens": 2000})
    sent = json.loads(DIALECT.encode(asked, "m", True))
    assert sent["messages"][1]["content"] == [own, call]
    assert sent["messages"][3]["content"] == [{**call, "id": "u"}]
    assert sent["thinking"] == {"type": "disabled"}
