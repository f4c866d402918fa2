"""Ask -> a chat completions body. What every server of that API understands comes first: plain strings, role system."""

from typing import Any

import msgspec

from twospeed.dialects.quirks import Quirks
from twospeed.dialects.translation.hub import (
    BRIDGED,
    Ask,
    Call,
    Choice,
    File,
    Form,
    Image,
    Part,
    Result,
    Text,
    Thought,
    Tool,
    Turn,
    joined,
    wire_name,
)
from twospeed.dialects.translation.writing import bridged_schema, call_id, capped, decent_user

_MOST_STOPS = 4
_EFFORTS = {"max": "high"}
_encode = msgspec.json.encode


def write(ask: Ask, model: str, provider: str, quirks: Quirks, account: bool) -> bytes:
    """Return the body; what it cannot carry is noted in `ask.dropped`."""
    body: dict[str, Any] = {"model": model, "messages": _messages(ask, quirks)}
    if ask.stream:
        body["stream"] = True
    if ask.stream and account:
        body["stream_options"] = {"include_usage": True}
    if ask.tools:
        body["tools"] = [_tool(tool, quirks) for tool in ask.tools]
        body |= _choice(ask.choice)
        if ask.parallel is False:
            body["parallel_tool_calls"] = False
    limit = capped(ask.max_tokens, quirks)
    optional = {
        quirks.max_tokens: limit,
        "temperature": ask.temperature,
        "top_p": ask.top_p,
        "stop": ask.stop[:_MOST_STOPS] or None,
        "response_format": _form(ask.form) if ask.form else None,
        "user": decent_user(ask),
    }
    if len(ask.stop) > _MOST_STOPS:
        ask.drop("stop_sequences")
    if ask.effort and quirks.effort:
        optional["reasoning_effort"] = _EFFORTS.get(ask.effort, ask.effort)
    elif ask.effort:
        ask.drop("effort")
    body |= {name: value for name, value in optional.items() if value is not None}
    return _encode({name: value for name, value in body.items() if name not in quirks.omit})


def _messages(ask: Ask, quirks: Quirks) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    shown: list[dict[str, Any]] = []  # pictures of tools: they have no place in a tool's message
    for turn in ask.turns:
        if turn.role == "tool":
            for result in turn.parts:
                if isinstance(result, Result):
                    found.append(_result(result, shown, ask, quirks))
            continue
        if shown:
            found.append({"role": "user", "content": shown})
            shown = []
        if turn.role == "assistant":
            found += _assistant(turn, ask, quirks)
        elif turn.parts:
            found.append({"role": turn.role, "content": _content(turn.parts, ask)})
    return [*found, {"role": "user", "content": shown}] if shown else found


def _assistant(turn: Turn, ask: Ask, quirks: Quirks) -> list[dict[str, Any]]:
    message: dict[str, Any] = {"role": "assistant", "content": joined(turn.parts) or None}
    thoughts = [part for part in turn.parts if isinstance(part, Thought)]
    if thoughts and quirks.reasoning == "reasoning_content":
        message["reasoning_content"] = "\n".join(thought.text for thought in thoughts)
    elif thoughts:
        ask.drop("reasoning")
    calls = [_call(part, quirks) for part in turn.parts if isinstance(part, Call)]
    if calls:
        message["tool_calls"] = calls
    return [message] if calls or message["content"] else []


def _call(call: Call, quirks: Quirks) -> dict[str, Any]:
    arguments = _encode({BRIDGED: call.arguments}).decode() if call.free else call.arguments or "{}"
    function = {"name": wire_name(call.space, call.name), "arguments": arguments}
    return {"id": call_id(call.id, quirks), "type": "function", "function": function}


def _result(result: Result, shown: list[dict[str, Any]], ask: Ask, quirks: Quirks) -> dict[str, Any]:
    if result.failed:
        ask.drop("is_error")
    pictures = [part for part in result.parts if not isinstance(part, Text)]
    if pictures:
        ask.drop("tool_result:image moved to a message of the user")
        shown.append({"type": "text", "text": f"Shown by the tool call {result.id}:"})
        shown += _several(list(pictures), ask)
    told = joined(list(result.parts)) or ("(see below)" if pictures else "")
    return {"role": "tool", "tool_call_id": call_id(result.id, quirks), "content": told}


def _content(parts: list[Part], ask: Ask) -> Any:
    if all(isinstance(part, Text) for part in parts):
        return "\n\n".join(part.text for part in parts if isinstance(part, Text))
    return _several(parts, ask)


def _several(parts: list[Any], ask: Ask) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for part in parts:
        if isinstance(part, Text):
            found.append({"type": "text", "text": part.text})
        elif isinstance(part, Image):
            detail = {"detail": part.detail} if part.detail else {}
            found.append({"type": "image_url", "image_url": {"url": part.url, **detail}})
        elif isinstance(part, File) and part.url.startswith("data:"):
            file = {"filename": part.name or "file", "file_data": part.url}
            found.append({"type": "file", "file": file})
        else:
            ask.drop("content:file")
    return found


def _tool(tool: Tool, quirks: Quirks) -> dict[str, Any]:
    schema = bridged_schema(tool) if tool.free else tool.schema or {"type": "object", "properties": {}}
    function: dict[str, Any] = {"name": tool.wire, "description": tool.description, "parameters": schema}
    if not tool.description:
        del function["description"]
    if tool.strict is not None and quirks.strict:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _choice(choice: Choice | None) -> dict[str, Any]:
    if choice is None or choice.mode == "auto":
        return {}
    if choice.mode == "one":
        return {"tool_choice": {"type": "function", "function": {"name": wire_name(choice.space, choice.name)}}}
    return {"tool_choice": choice.mode}


def _form(form: Form) -> dict[str, Any]:
    if form.schema is None:
        return {"type": "json_object"}
    inner: dict[str, Any] = {"name": form.name, "schema": form.schema}
    inner["strict"] = True if form.strict is None else form.strict
    return {"type": "json_schema", "json_schema": inner}
