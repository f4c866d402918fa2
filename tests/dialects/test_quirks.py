"""Quirks change what translations write, and nothing else."""

import json

from twospeed.dialects.quirks import Quirks
from twospeed.dialects.translation import chat_read, chat_write, messages_read, messages_write

ASK = json.dumps(
    {
        "model": "m",
        "max_tokens": 64_000,
        "system": "s",
        "output_config": {"effort": "high"},
        "messages": [
            {"role": "user", "content": "a"},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "s"},
                    {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}},
                ],
            },
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "ok"}]},
        ],
        "tools": [{"name": "f", "strict": True}],
        "metadata": {"user_id": "u"},
    }
).encode()


def written(**quirks: object) -> dict:
    """The chat body for a provider with these quirks."""
    return json.loads(chat_write.write(messages_read.read(ASK), "m", "p", Quirks(**quirks), True))


def test_limits_and_fields():
    """The limit has the provider's name and bound; fields it refuses are left out."""
    body = written(max_tokens="max_completion_tokens", output_tokens=8_192, omit=["user"], effort=False, strict=False)
    assert (body["max_completion_tokens"], "user" in body, "reasoning_effort" in body) == (8_192, False, False)
    assert "strict" not in body["tools"][0]["function"]
    assert written()["reasoning_effort"] == "high"


def test_reasoning_is_given_back_where_it_is_wanted():
    """Some models go on better with their earlier thoughts; others refuse them."""
    assert written(reasoning="reasoning_content")["messages"][2]["reasoning_content"] == "hm"
    assert "reasoning_content" not in written()["messages"][2]


def test_ids_of_calls_have_the_right_length():
    """A call and its result keep the same id, whatever its length."""
    body = written(call_id_length=9)
    call, result = body["messages"][2]["tool_calls"][0]["id"], body["messages"][3]["tool_call_id"]
    assert call == result
    assert (len(call), call.isalnum()) == (9, True)


def test_thinking_is_asked_for_as_the_model_knows_it():
    """Older models of Anthropic take a budget, newer ones an effort; in a round of tools without thoughts, none."""
    ask = b'{"model":"m","reasoning_effort":"medium","messages":[{"role":"user","content":"a"}]}'
    old = json.loads(messages_write.write(chat_read.read(ask), "claude-haiku-4-5", "p", Quirks(), True))
    new = json.loads(messages_write.write(chat_read.read(ask), "claude-opus-4-6", "p", Quirks(), True))
    assert old["thinking"] == {"type": "enabled", "budget_tokens": 8_192}
    assert (new["thinking"], new["output_config"]) == ({"type": "adaptive"}, {"effort": "medium"})
    amid = messages_read.read(ASK)
    assert "thinking" not in json.loads(messages_write.write(amid, "claude-opus-4-6", "p", Quirks(), True))
    assert "effort" in amid.dropped
