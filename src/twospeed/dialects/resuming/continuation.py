"""Continuation: the request that asks the next backend to go on where an answer broke off.

Chat and Messages show it the text as the beginning of its own answer, in the way its provider wants that (`Prefill`);
completions append the text to the prompt, which every model goes on from.
One text in a form of its own only: of several answers, of one in a given form, and of one that repeats its prompt or comes
with figures for each token, the rest cannot be put behind what there is.
Source: Anthropic, "Prefill Claude's response"; Mistral API reference, `prefix`; vLLM, `continue_final_message`.
"""

from typing import Any, Literal

import msgspec

from twospeed.types import Request

Prefill = Literal["none", "plain", "prefix", "continue"]

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_LIMITS = ("max_tokens", "max_completion_tokens")
_SEVERAL = ("n", "best_of")
_FORMS = (  # of vLLM, SGLang and llama.cpp beside OpenAI's `response_format`
    "guided_json",
    "guided_regex",
    "guided_choice",
    "guided_grammar",
    "structured_outputs",
    "grammar",
    "json_schema",
    "regex",
    "ebnf",
)
_BESIDE_THE_TEXT = ("echo", "logprobs", "audio")
_FLAGS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {  # in the message, beside the messages
    "plain": ({}, {}),
    "prefix": ({"prefix": True}, {}),
    "continue": ({}, {"continue_final_message": True, "add_generation_prompt": False}),
}


def continued(request: Request, text: str, spent: int, prefill: Prefill) -> tuple[bytes, str] | None:
    """Return the body of the next request and the text it shows, None where this request cannot be continued so.

    Args:
        text: All that the client got.
        spent: Tokens of it, which the next answer has less.
    """
    body: dict[str, Any] = _decode(request.body)
    if not _one_text(body):
        return None
    for limit in _LIMITS:
        if isinstance(body.get(limit), int):
            body[limit] = max(1, body[limit] - spent)
    if request.completion is not None:
        if not request.completion.whole:
            return None
        body["prompt"] = request.completion.prompt + text
        return _encode(body), text
    if prefill == "none" or _thinks(body):
        return None
    shown = text.rstrip()
    message, beside = _FLAGS[prefill]
    body["messages"] = _prefilled(body["messages"], shown, message)
    return (_encode({**body, **beside}), shown) if body["messages"] else None


def _prefilled(messages: list[Any], shown: str, flags: dict[str, Any]) -> list[Any] | None:
    """Return the messages with the text as the beginning of the answer; one that the client began itself goes on."""
    last = messages[-1]
    if last.get("role") == "assistant":
        if not isinstance(last.get("content"), str):
            return None
        return [*messages[:-1], {**last, "content": last["content"] + shown, **flags}]
    return [*messages, {"role": "assistant", "content": shown, **flags}] if shown else messages


def _one_text(body: dict[str, Any]) -> bool:
    several = any(isinstance(body.get(key), int) and body[key] > 1 for key in _SEVERAL)
    given = body.get("response_format")
    formed = isinstance(given, dict) and given.get("type") != "text"
    return not (several or formed or any(body.get(key) for key in (*_FORMS, *_BESIDE_THE_TEXT)))


def _thinks(body: dict[str, Any]) -> bool:
    """Say whether the model is asked to reason first, which no provider does in the middle of an answer."""
    thinking = body.get("thinking")
    return isinstance(thinking, dict) and thinking.get("type") != "disabled"
