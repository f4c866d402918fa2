"""Ask -> a Responses body. Nothing is stored there: each request brings its whole history, reasoning included."""

from typing import Any

import msgspec

from twospeed.dialects import seals
from twospeed.dialects.quirks import Quirks
from twospeed.dialects.translation.hub import (
    Ask,
    Call,
    Choice,
    File,
    Form,
    Image,
    Result,
    Text,
    Thought,
    Tool,
    Turn,
    joined,
    wire_name,
)
from twospeed.dialects.translation.writing import capped, decent_user

_EFFORTS = {"max": "xhigh"}
_encode = msgspec.json.encode


def write(ask: Ask, model: str, provider: str, quirks: Quirks, account: bool) -> bytes:
    """Return the body; what it cannot carry is noted in `ask.dropped`."""
    lead = next((place for place, turn in enumerate(ask.turns) if turn.role != "system"), len(ask.turns))
    told = "\n\n".join(joined(turn.parts) for turn in ask.turns[:lead])
    body: dict[str, Any] = {"model": model, "input": _items(ask, lead, provider), "store": False}
    if ask.stream:
        body["stream"] = True
    if quirks.effort:
        body["include"] = ["reasoning.encrypted_content"]
    if ask.tools:
        body["tools"] = [_tool(tool) for tool in ask.tools]
        body |= _choice(ask)
    if ask.tools and ask.parallel is not None:
        body["parallel_tool_calls"] = ask.parallel
    if ask.stop:
        ask.drop("stop_sequences")
    effort = _EFFORTS.get(ask.effort, ask.effort)
    if effort and not quirks.effort:
        ask.drop("effort")
    optional = {
        "instructions": told or None,
        "max_output_tokens": capped(ask.max_tokens, quirks),
        "temperature": ask.temperature,
        "top_p": ask.top_p,
        "text": {"format": _form(ask.form)} if ask.form else None,
        "reasoning": {"effort": effort, "summary": "auto"} if effort and quirks.effort else None,
        "user": decent_user(ask),
        "prompt_cache_key": ask.cache_key or None,
    }
    body |= {name: value for name, value in optional.items() if value is not None}
    return _encode({name: value for name, value in body.items() if name not in quirks.omit})


def _items(ask: Ask, lead: int, provider: str) -> list[Any]:
    found: list[Any] = []
    for turn in ask.turns[lead:]:
        if turn.role == "assistant":
            found += _assistant(turn, ask, provider)
        elif turn.role == "tool":
            found += [_result(part, ask) for part in turn.parts if isinstance(part, Result)]
        elif turn.parts:
            role = "developer" if turn.role == "system" else "user"
            found.append({"type": "message", "role": role, "content": [_part(part) for part in turn.parts]})
    return found


def _assistant(turn: Turn, ask: Ask, provider: str) -> list[Any]:
    found: list[Any] = []
    for part in turn.parts:
        if isinstance(part, Text):
            said = [{"type": "output_text", "text": part.text, "annotations": []}]
            found.append({"type": "message", "role": "assistant", "content": said})
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
    if call.free:
        return {"type": "custom_tool_call", "call_id": call.id, "name": call.name, "input": call.arguments}
    name = wire_name(call.space, call.name)
    return {"type": "function_call", "call_id": call.id, "name": name, "arguments": call.arguments or "{}"}


def _result(result: Result, ask: Ask) -> dict[str, Any]:
    free = any(
        isinstance(part, Call) and part.free and part.id == result.id for turn in ask.turns for part in turn.parts
    )
    kind = "custom_tool_call_output" if free else "function_call_output"
    plain = all(isinstance(part, Text) for part in result.parts)
    output: Any = joined(list(result.parts)) if plain else [_part(part) for part in result.parts]
    if result.failed:
        ask.drop("is_error")
    return {"type": kind, "call_id": result.id, "output": output}


def _part(part: Any) -> dict[str, Any]:
    if isinstance(part, Image):
        return {"type": "input_image", "image_url": part.url, "detail": part.detail or "auto"}
    if isinstance(part, File):
        if part.url.startswith("data:"):
            return {"type": "input_file", "filename": part.name or "file", "file_data": part.url}
        return {"type": "input_file", "file_url": part.url}
    return {"type": "input_text", "text": part.text}


def _tool(tool: Tool) -> dict[str, Any]:
    about = {"description": tool.description} if tool.description else {}
    if tool.free:
        return {"type": "custom", "name": tool.name, **about}
    schema = tool.schema or {"type": "object", "properties": {}}
    # Left out, this API takes `strict` for true; the others take it for false.
    return {"type": "function", "name": tool.wire, **about, "parameters": schema, "strict": bool(tool.strict)}


def _choice(ask: Ask) -> dict[str, Any]:
    choice: Choice | None = ask.choice
    if choice is None or choice.mode == "auto":
        return {}
    if choice.mode != "one":
        return {"tool_choice": choice.mode}
    name = wire_name(choice.space, choice.name)
    free = any(tool.free for tool in ask.tools if tool.wire == name)
    return {"tool_choice": {"type": "custom" if free else "function", "name": name}}


def _form(form: Form) -> dict[str, Any]:
    if form.schema is None:
        return {"type": "json_object"}
    strict = True if form.strict is None else form.strict
    return {"type": "json_schema", "name": form.name, "schema": form.schema, "strict": strict}
