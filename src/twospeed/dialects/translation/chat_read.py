"""Chat completions as clients write them -> Ask."""

from typing import Any

from twospeed.dialects.body import bad
from twospeed.dialects.translation.hub import (
    Ask,
    Call,
    Choice,
    File,
    Form,
    Image,
    Part,
    Result,
    Role,
    Text,
    Thought,
    Tool,
    Turn,
)
from twospeed.dialects.translation.reading import block, flag, items, note_rest, number, text, whole, words

_KNOWN = frozenset(
    {
        *("model", "messages", "tools", "tool_choice", "parallel_tool_calls", "max_tokens", "max_completion_tokens"),
        *("temperature", "top_p", "stop", "response_format", "reasoning_effort", "reasoning", "user", "stream"),
        *("stream_options", "prompt_cache_key", "functions", "function_call", "models", "provider", "store"),
    }
)
_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}


def read(body: bytes) -> Ask:
    """Read a request. Raises: Fault BAD_REQUEST."""
    asked = whole(body)
    limit = asked.get("max_completion_tokens")
    ask = Ask(turns=[], max_tokens=asked.get("max_tokens") if limit is None else limit)
    for message in items(asked.get("messages"), "messages"):
        ask.turns.append(_turn(message, ask))
    ask.tools = [_tool(tool, ask) for tool in items(asked.get("tools"), "tools")]
    ask.tools += [_function(tool, "functions") for tool in items(asked.get("functions"), "functions")]
    ask.choice = _choice(asked.get("tool_choice") or asked.get("function_call"), ask)
    ask.parallel = flag(asked.get("parallel_tool_calls"), "parallel_tool_calls")
    ask.temperature = number(asked.get("temperature"), "temperature")
    ask.top_p = number(asked.get("top_p"), "top_p")
    ask.stop = words(asked.get("stop"), "stop")
    ask.form = _form(block(asked.get("response_format"), "response_format"))
    reasoning = block(asked.get("reasoning"), "reasoning")
    ask.effort = text(asked.get("reasoning_effort") or reasoning.get("effort"), "reasoning_effort").lower()
    ask.user = text(asked.get("user"), "user")
    ask.cache_key = text(asked.get("prompt_cache_key"), "prompt_cache_key")
    ask.stream = asked.get("stream") is True
    note_rest(ask, asked, _KNOWN)
    return ask


def _turn(message: dict[str, Any], ask: Ask) -> Turn:
    name = text(message.get("role"), "messages.role")
    role = _ROLES.get(name)
    if role is None:
        raise bad("messages.role", "not a role that can be translated")
    parts = _parts(message.get("content"), ask)
    if role == "tool":
        result = Result(text(message.get("tool_call_id") or message.get("name"), "messages.tool_call_id"), parts)
        return Turn("tool", [result])
    before: list[Part] = []
    if role == "assistant":
        thought = message.get("reasoning_content") or message.get("reasoning")
        before = [Thought(thought)] if isinstance(thought, str) else []
        if message.get("refusal"):
            parts.append(Text(text(message["refusal"], "messages.refusal")))
    return Turn(role, [*before, *parts, *_calls(message)])


def _parts(content: Any, ask: Ask) -> list[Any]:
    if content is None or isinstance(content, str):
        return [Text(content)] if content else []
    found = (_part(part, ask) for part in items(content, "messages.content"))
    return [part for part in found if part is not None]


def _part(part: dict[str, Any], ask: Ask) -> Text | Image | File | None:
    kind = part.get("type")
    if kind in ("text", "refusal"):
        return Text(text(part.get(str(kind)), "messages.content.text"))
    if kind == "image_url":
        image = part.get("image_url")
        image = {"url": image} if isinstance(image, str) else block(image, "messages.content.image_url")
        detail = text(image.get("detail"), "messages.content.image_url.detail")
        return Image(text(image.get("url"), "messages.content.image_url.url"), "" if detail == "auto" else detail)
    if kind == "file":
        file = block(part.get("file"), "messages.content.file")
        if file.get("file_data"):
            return File(text(file["file_data"], "messages.content.file"), text(file.get("filename"), "filename"))
    ask.drop(f"content:{kind}")
    return None


def _calls(message: dict[str, Any]) -> list[Call]:
    found = []
    for call in items(message.get("tool_calls"), "messages.tool_calls"):
        identity = text(call.get("id"), "messages.tool_calls.id")
        if call.get("type") == "custom":
            custom = block(call.get("custom"), "messages.tool_calls.custom")
            found.append(
                Call(identity, text(custom.get("name"), "name"), text(custom.get("input"), "input"), free=True)
            )
            continue
        function = block(call.get("function"), "messages.tool_calls.function")
        found.append(Call(identity, text(function.get("name"), "name"), text(function.get("arguments"), "arguments")))
    legacy = block(message.get("function_call"), "messages.function_call")
    if legacy:
        name = text(legacy.get("name"), "name")
        found.append(Call(name, name, text(legacy.get("arguments"), "arguments")))
    return found


def _tool(tool: dict[str, Any], ask: Ask) -> Tool:
    if tool.get("type") == "custom":
        custom = block(tool.get("custom"), "tools.custom")
        return Tool(text(custom.get("name"), "tools.name"), text(custom.get("description"), "description"), free=True)
    return _function(block(tool.get("function"), "tools.function"), "tools")


def _function(function: dict[str, Any], field: str) -> Tool:
    name = text(function.get("name"), f"{field}.name")
    if not name:
        raise bad(f"{field}.name", "a tool needs a name")
    about = text(function.get("description"), f"{field}.description")
    return Tool(name, about, function.get("parameters"), flag(function.get("strict"), f"{field}.strict"))


def _choice(choice: Any, ask: Ask) -> Choice | None:
    if choice is None or isinstance(choice, str):
        return Choice(choice) if choice else None
    choice = block(choice, "tool_choice")
    allowed = block(choice.get("allowed_tools"), "tool_choice.allowed_tools")
    if allowed:
        names = [_named(tool) for tool in items(allowed.get("tools"), "tool_choice.allowed_tools.tools")]
        ask.tools = [tool for tool in ask.tools if tool.name in names]
        return Choice(text(allowed.get("mode"), "mode") or "auto")
    return Choice("one", _named(choice))


def _named(choice: dict[str, Any]) -> str:
    inner = choice.get("function") or choice.get("custom") or choice
    return text(block(inner, "tool_choice").get("name"), "tool_choice.name")


def _form(form: dict[str, Any]) -> Form | None:
    if form.get("type") == "json_object":
        return Form()
    if form.get("type") != "json_schema":
        return None
    inner = block(form.get("json_schema"), "response_format.json_schema")
    strict = flag(inner.get("strict"), "response_format.json_schema.strict")
    return Form(inner.get("schema"), text(inner.get("name"), "name") or "answer", strict)
