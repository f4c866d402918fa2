"""Responses requests: what is read of them, what is refused, and that the rest stays as it is."""

import json

import pytest

from twospeed.dialects import seals
from twospeed.dialects.openai_responses import DIALECT, Item
from twospeed.errors import Fault, Kind
from twospeed.types import Request

BODY = {"model": "m", "input": "hi"}
ITEMS = [
    {"role": "developer", "content": "Be brief."},
    {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "fix it"}]},
    {"type": "reasoning", "summary": [], "encrypted_content": "gAAAA"},
    {"type": "function_call", "call_id": "c1", "name": "ls", "arguments": "{}"},
    {"type": "custom_tool_call", "call_id": "c2", "name": "apply_patch", "input": "*** Begin"},
    {"type": "function_call_output", "call_id": "c1", "output": "a.py"},
    {"type": "custom_tool_call_output", "call_id": "c2", "output": "done"},
]
NESTING = Item.__struct_fields__[2:]  # all but type and role


def decoded(**members: object) -> Request:
    """A request with these members besides the needed ones."""
    return DIALECT.decode(json.dumps({**BODY, **members}).encode(), "/responses")


def test_the_conversation_reads_like_chat():
    """Calls become those of an assistant, outputs those of a tool, so that one classifier serves all."""
    tools = [
        {"type": "function", "name": "ls"},
        {"type": "namespace", "name": "n", "tools": [{"name": "x"}]},
        {"type": "web_search"},
    ]
    asked = decoded(input=ITEMS, tools=tools, reasoning={"effort": "High"}, text={"format": {"type": "json_schema"}})
    seen = DIALECT.conversation(asked)
    assert [message.role for message in seen.messages] == ["developer", "user", "assistant", "tool", "tool"]
    assert [call["function"]["name"] for call in json.loads(bytes(seen.messages[2].tool_calls))] == [
        "ls",
        "apply_patch",
    ]
    assert (seen.tools, seen.effort, seen.wants_schema) == (["ls", "x", "web_search"], "high", True)
    assert DIALECT.opening(asked) == [b'"Be brief."', b'"fix it"']


def test_text_input_and_instructions():
    """A string is what the user says; instructions are the system's."""
    asked = decoded(instructions="Be brief.", prompt_cache_key="s-1", max_output_tokens=7)
    assert DIALECT.opening(asked) == [b'"Be brief."', b'"hi"']
    assert DIALECT.declared(asked).id == "s-1"
    assert (asked.max_tokens, bytes(DIALECT.conversation(asked).messages[0].content)) == (7, b'"hi"')


@pytest.mark.parametrize(
    ("members", "stateful", "bound"),
    [
        ({}, False, ""),
        ({"store": False}, False, ""),
        ({"store": True}, True, ""),
        ({"previous_response_id": "resp_1"}, True, "previous_response_id"),
        ({"previous_response_id": "resp_1", "input": None}, True, "previous_response_id"),
        ({"conversation": {"id": "conv_1"}}, True, "conversation"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, True, "item_reference"),
        ({"conversation": None, "previous_response_id": None, "background": False}, False, ""),
        ({"background": True}, True, "background"),
        ({"tools": [{"type": "mcp", "server_label": "a"}]}, True, ""),
        ({"tools": [{"type": "function", "name": "a"}]}, False, ""),
    ],
)
def test_state_is_noticed(members: dict, stateful: bool, bound: str):
    """Requests that leave or need state are not replayed elsewhere; an absent `store` is no wish to keep any."""
    asked = decoded(**members)
    assert (asked.stateful, asked.bound) == (stateful, bound)


@pytest.mark.parametrize(
    ("members", "param", "message"),
    [
        ({"input": None}, "input", "Missing required field 'input'."),
        ({"input": 3}, "input", "Invalid 'input': expected a string or an array of items."),
        ({"input": [3]}, "input", "Invalid 'input[0]': expected object, got integer."),
        ({"input": [{"role": 1}]}, "input", "Invalid 'input[0].role': expected string | null, got integer."),
        ({"tools": {}}, "tools", "Invalid 'tools': expected array."),
        ({"stream": "yes"}, "stream", "Invalid 'stream': expected boolean | null, got string."),
        ({"model": 1}, "model", "Invalid 'model': expected a string."),
        ({"models": "a"}, "models", "Invalid 'models': expected an array of names."),
        ({"provider": []}, "provider", None),
    ],
)
def test_wrong_types_are_refused(members: dict, param: str, message: str | None):
    """A field of a wrong type is named before any provider is asked."""
    with pytest.raises(Fault) as caught:
        decoded(**members)
    assert (caught.value.kind, caught.value.param) == (Kind.BAD_REQUEST, param)
    assert message is None or caught.value.message == message


def test_depth_and_repeated_models_are_refused():
    """Nesting beyond 128 levels and a second `model` are refused wherever they are."""
    deep = b'{"model":"m","input":[{"content":' + b"[" * 200 + b"]" * 200 + b"}]}"
    for body in (
        deep,
        b'{"model":"m","input":"a","model":"n"}',
        b'{"model":"m","x":%b1%b,"input":"a"}' % (b"[" * 200, b"]" * 200),
    ):
        with pytest.raises(Fault):
            DIALECT.decode(body, "/responses")


@pytest.mark.parametrize(("levels", "fits"), [(128, True), (129, False), (300, False)])
@pytest.mark.parametrize(
    ("above", "shape"),
    [
        *((3, '{"model":"m","input":[{"type":"x","' + name + '":@},{"content":"%"}]}') for name in NESTING),
        (3, '{"model":"m","input":[{"content":"%","summary":@},{"content":"hi"}]}'),
        (3, '{"model":"m","input":[{"content":"%"},{"content":"hi","odd":@}]}'),
        (5, '{"model":"m","input":[{"role":"user","content":[{"type":"input_text","text":"%","odd":@}]}]}'),
        (1, '{"model":"m","input":[{"content":"%"}],"instructions":@}'),
        (1, '{"model":"m","input":"%","tools":@}'),
        (1, '{"model":"m","input":[{"content":"%"}],"odd":@}'),
    ],
)
@pytest.mark.parametrize("text", ["", "[{]}" * 2_000])
def test_depth_is_bounded(levels: int, fits: bool, above: int, shape: str, text: str):
    """A body nests 128 levels and no more, whichever member of an item nests and however long the body is."""
    body = shape.replace("@", "[" * (levels - above) + "]" * (levels - above)).replace("%", text).encode()
    if fits:
        assert DIALECT.decode(body, "/responses").model == "m"
        return
    with pytest.raises(Fault) as caught:
        DIALECT.decode(body, "/responses")
    assert caught.value.message == "Invalid request body: nested more than 128 levels deep."


def test_only_the_model_changes():
    """Odd spaces, odd numbers, unknown members and nested `model` keys reach the provider as they are."""
    body = b'{ "input" : [ {"role":"user" , "content":"\\u00fc","model":"x"} ],\t"model":"auto" , "n":1.0e3,"odd":{"model":1}}'
    asked = DIALECT.decode(body, "/responses")
    assert DIALECT.encode(asked, "gpt", True) == body.replace(b'"auto"', b'"gpt"')


def test_foreign_reasoning_is_left_out():
    """Reasoning that a translation sealed for another provider is no use to OpenAI, which would refuse it."""
    sealed = {"type": "reasoning", "summary": [], "encrypted_content": seals.seal("other", b"{}")}
    asked = decoded(input=[ITEMS[2], sealed, ITEMS[3]])
    assert json.loads(DIALECT.encode(asked, "m", True))["input"] == [ITEMS[2], ITEMS[3]]


def test_wishes_stay_here():
    """What a request says about routing is read and not sent on."""
    asked = decoded(models=["a"], provider={"order": ["p"]})
    assert asked.wishes.models == ("a",)
    assert json.loads(DIALECT.encode(asked, "m", True)) == {"model": "m", "input": "hi"}


def test_nothing_is_known_of_a_stream_not_begun():
    """Even then the failure has the shape clients read."""
    assert b"response.failed" in DIALECT.interrupt(Fault(Kind.RESET))
