"""Ask -> a Messages body. Turns alternate, results of tools come first, thinking only where its history allows it."""

import re
from typing import Any

import msgspec

from twospeed.dialects import seals
from twospeed.dialects.quirks import Quirks
from twospeed.dialects.translation.hub import (
    BRIDGED,
    Ask,
    Call,
    File,
    Image,
    Result,
    Text,
    Thought,
    Tool,
    Turn,
    wire_name,
)
from twospeed.dialects.translation.writing import bridged_schema, capped, decent_user, plain_id

USUAL_LIMIT = 32_000  # output tokens where the client names none: this API demands a number
_BUDGETS = {"low": 2_048, "medium": 8_192, "high": 24_576, "xhigh": 32_768, "max": 32_768}
_LEAST_BUDGET = 1_024
_MODES = {"auto": "auto", "required": "any", "none": "none"}
# Up to version 4.5 models take a budget of thinking, later ones an effort.
_OLDER = re.compile(r"claude-(?:3|instant|2|(?:opus|sonnet|haiku)-(?:3|4(?:-[0-5])?)(?:-20\d{6})?$)")
_CACHED = {"type": "ephemeral"}
_JSON_ONLY = "Answer with one JSON object and nothing else."
_encode = msgspec.json.encode


def write(ask: Ask, model: str, provider: str, quirks: Quirks, account: bool) -> bytes:
    """Return the body; what it cannot carry is noted in `ask.dropped`."""
    lead = next((place for place, turn in enumerate(ask.turns) if turn.role != "system"), len(ask.turns))
    messages = _messages(ask, lead, provider)
    system = [block for turn in ask.turns[:lead] for block in _blocks(turn, ask)]
    if not messages:
        messages, system = [{"role": "user", "content": system or [{"type": "text", "text": "."}]}], []
    if ask.form is not None and ask.form.schema is None:
        system.append({"type": "text", "text": _JSON_ONLY})
    limit = capped(ask.max_tokens, quirks) or min(USUAL_LIMIT, quirks.output_tokens or USUAL_LIMIT)
    body: dict[str, Any] = {"model": model, "max_tokens": limit, "messages": messages}
    if system:
        body["system"] = _marked(system)
    if ask.stream:
        body["stream"] = True
    if ask.tools:
        body["tools"] = [_tool(tool, quirks) for tool in ask.tools]
        body |= _choice(ask)
    _marked(messages[-1]["content"])
    if ask.form is not None and ask.form.schema is not None:
        body["output_config"] = {"format": {"type": "json_schema", "schema": ask.form.schema}}
    if ask.stop:
        body["stop_sequences"] = ask.stop
    if decent_user(ask):
        body["metadata"] = {"user_id": ask.user}
    _think(body, ask, model, quirks, messages)
    return _encode({name: value for name, value in body.items() if name not in quirks.omit})


def _messages(ask: Ask, lead: int, provider: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for turn in ask.turns[lead:]:
        role = "assistant" if turn.role == "assistant" else "user"
        blocks = _assistant(turn, ask, provider) if role == "assistant" else _blocks(turn, ask)
        if turn.role == "system":
            ask.drop("role:system moved to a message of the user")
        if not blocks:
            continue
        if found and found[-1]["role"] == role:
            found[-1]["content"] += blocks
        else:
            found.append({"role": role, "content": blocks})
    for message in found:
        if message["role"] == "user":
            message["content"].sort(key=_results_first)
    if found and found[-1]["role"] == "assistant":
        _trim(found[-1]["content"])
    return [message for message in found if message["content"]]


def _results_first(block: Any) -> bool:
    return not (isinstance(block, dict) and block["type"] == "tool_result")


def _trim(blocks: list[Any]) -> None:
    """A prefilled answer must not end in white space."""
    if blocks and isinstance(blocks[-1], dict) and blocks[-1]["type"] == "text":
        blocks[-1]["text"] = blocks[-1]["text"].rstrip()


def _assistant(turn: Turn, ask: Ask, provider: str) -> list[Any]:
    found: list[Any] = []
    for part in turn.parts:
        if isinstance(part, Text) and part.text.strip():
            found.append({"type": "text", "text": part.text})
        elif isinstance(part, Call):
            found.append(_call(part))
        elif isinstance(part, Thought):
            block = seals.opened(part.seal, provider)
            if block:
                found.append(msgspec.Raw(block))
            else:
                ask.drop("reasoning")
    return found


def _call(call: Call) -> dict[str, Any]:
    given: Any = {BRIDGED: call.arguments}
    if not call.free:
        try:
            given = msgspec.json.decode(call.arguments or "{}")
        except msgspec.DecodeError:
            given = {BRIDGED: call.arguments}
    given = given if isinstance(given, dict) else {BRIDGED: given}
    return {"type": "tool_use", "id": plain_id(call.id), "name": wire_name(call.space, call.name), "input": given}


def _blocks(turn: Turn, ask: Ask) -> list[Any]:
    found: list[Any] = []
    for part in turn.parts:
        if isinstance(part, Result):
            content = [block for inner in part.parts for block in _block(inner)]
            failed = {"is_error": True} if part.failed else {}
            found.append({"type": "tool_result", "tool_use_id": plain_id(part.id), "content": content, **failed})
        elif isinstance(part, Text | Image | File):
            found += _block(part)
    return found


def _block(part: Text | Image | File) -> list[dict[str, Any]]:
    if isinstance(part, Text):
        return [{"type": "text", "text": part.text}] if part.text.strip() else []
    kind = "image" if isinstance(part, Image) else "document"
    if not part.url.startswith("data:"):
        return [{"type": kind, "source": {"type": "url", "url": part.url}}]
    media, _, data = part.url.removeprefix("data:").partition(";base64,")
    return [{"type": kind, "source": {"type": "base64", "media_type": media, "data": data}}]


def _marked(blocks: list[Any]) -> list[Any]:
    """Let Anthropic keep the prompt up to here: the other APIs do so unasked."""
    if blocks and isinstance(blocks[-1], dict):
        blocks[-1]["cache_control"] = _CACHED
    return blocks


def _tool(tool: Tool, quirks: Quirks) -> dict[str, Any]:
    schema = bridged_schema(tool) if tool.free else tool.schema
    schema = {"type": "object", **schema} if isinstance(schema, dict) else {"type": "object", "properties": {}}
    found: dict[str, Any] = {"name": tool.wire, "description": tool.description, "input_schema": schema}
    if not tool.description:
        del found["description"]
    if tool.strict and quirks.strict:
        found["strict"] = True
    return found


def _choice(ask: Ask) -> dict[str, Any]:
    choice = ask.choice
    found: dict[str, Any] = {}
    if choice is not None and choice.mode == "one":
        found = {"type": "tool", "name": wire_name(choice.space, choice.name)}
    elif choice is not None or ask.parallel is False:
        found = {"type": _MODES.get(choice.mode if choice else "auto", "auto")}
    if ask.parallel is False and found["type"] != "none":
        found["disable_parallel_tool_use"] = True
    return {"tool_choice": found} if found else {}


def _think(body: dict[str, Any], ask: Ask, model: str, quirks: Quirks, messages: list[dict[str, Any]]) -> None:
    """Ask for thinking as this model wants to be asked; else pass on what thinking would forbid."""
    wanted = ask.effort in _BUDGETS
    forced = body.get("tool_choice", {}).get("type") in ("any", "tool")
    if wanted and quirks.effort and not forced and _may_think(messages):
        if _OLDER.match(model):
            budget = min(_BUDGETS[ask.effort], body["max_tokens"] - 1)
            if budget >= _LEAST_BUDGET:
                body["thinking"] = {"type": "enabled", "budget_tokens": budget}
        else:
            body["thinking"] = {"type": "adaptive"}
            effort = "high" if ask.effort == "xhigh" else ask.effort
            body["output_config"] = {**body.get("output_config", {}), "effort": effort}
    elif wanted:
        ask.drop("effort")
    if "thinking" in body:
        ask.dropped += [name for name in ("temperature", "top_p") if getattr(ask, name) is not None]
        return
    if ask.temperature is not None:
        body["temperature"] = min(1.0, ask.temperature)
    elif ask.top_p is not None:  # newer models take only one of the two
        body["top_p"] = ask.top_p


def _may_think(messages: list[dict[str, Any]]) -> bool:
    """In the middle of a round of tools thinking needs the thoughts it began with."""
    last = next((message for message in reversed(messages) if message["role"] == "assistant"), None)
    if last is None or messages[-1]["role"] != "user":
        return last is None
    results = [block for block in messages[-1]["content"] if isinstance(block, dict) and block["type"] == "tool_result"]
    return not results or isinstance(last["content"][0], msgspec.Raw)
