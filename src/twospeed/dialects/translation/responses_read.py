"""Responses as clients write them -> Ask. Calls and outputs that stand apart become turns of assistant and tool."""

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
from twospeed.dialects.translation.reading import block, flag, items, note_rest, number, text, whole

_KNOWN = frozenset(
    {
        *("model", "input", "instructions", "tools", "tool_choice", "parallel_tool_calls", "max_output_tokens"),
        *("temperature", "top_p", "text", "reasoning", "user", "stream", "prompt_cache_key", "include", "store"),
        *("client_metadata", "models", "provider", "stream_options"),
    }
)
_ROLES: dict[str, Role] = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}


def read(body: bytes) -> Ask:
    """Read a request. Raises: Fault BAD_REQUEST."""
    asked = whole(body)
    ask = Ask(turns=[], max_tokens=asked.get("max_output_tokens"))
    instructions = asked.get("instructions")
    if instructions:
        ask.turns.append(Turn("system", _parts(instructions, ask, "instructions")))
    _input(asked.get("input"), ask)
    ask.tools = _tools(items(asked.get("tools"), "tools"), ask)
    ask.choice = _choice(asked.get("tool_choice"), ask)
    ask.parallel = flag(asked.get("parallel_tool_calls"), "parallel_tool_calls")
    ask.temperature = number(asked.get("temperature"), "temperature")
    ask.top_p = number(asked.get("top_p"), "top_p")
    options = block(asked.get("text"), "text")
    ask.form = _form(block(options.get("format"), "text.format"))
    if options.get("verbosity") not in (None, "medium"):
        ask.drop("text.verbosity")
    ask.effort = text(block(asked.get("reasoning"), "reasoning").get("effort"), "reasoning.effort").lower()
    ask.user = text(asked.get("user"), "user")
    ask.cache_key = text(asked.get("prompt_cache_key"), "prompt_cache_key")
    ask.stream = asked.get("stream") is True
    note_rest(ask, asked, _KNOWN)
    return ask


def _input(given: Any, ask: Ask) -> None:
    if isinstance(given, str):
        ask.turns.append(Turn("user", [Text(given)]))
        return
    for item in items(given, "input"):
        kind = item.get("type") or "message"
        if kind == "message":
            role = _ROLES.get(text(item.get("role"), "input.role"))
            if role is None:
                raise bad("input.role", "not a role that can be translated")
            _add(ask, role, _parts(item.get("content"), ask, "input.content"))
        elif kind in ("function_call", "custom_tool_call"):
            _add(ask, "assistant", [_call(item, kind)])
        elif kind in ("function_call_output", "custom_tool_call_output"):
            output = _parts(item.get("output"), ask, "input.output")
            ask.turns.append(Turn("tool", [Result(text(item.get("call_id"), "input.call_id"), output)]))
        elif kind == "reasoning":
            _add(ask, "assistant", [_thought(item)])
        elif kind == "item_reference":
            raise bad("input", "item_reference needs a provider that keeps responses; send the item itself")
        else:
            ask.drop(f"input:{kind}")


def _add(ask: Ask, role: Role, parts: list[Any]) -> None:
    """Put parts into the turn under way when the assistant goes on, else into one of their own."""
    if role == "assistant" and ask.turns and ask.turns[-1].role == "assistant":
        ask.turns[-1].parts += parts
    else:
        ask.turns.append(Turn(role, parts))


def _call(item: dict[str, Any], kind: str) -> Call:
    free = kind == "custom_tool_call"
    arguments = text(item.get("input" if free else "arguments"), "input.arguments")
    space = text(item.get("namespace"), "input.namespace")
    return Call(
        text(item.get("call_id"), "input.call_id"), text(item.get("name"), "input.name"), arguments, free, space
    )


def _thought(item: dict[str, Any]) -> Part:
    shown = [text(part.get("text"), "input.summary.text") for part in items(item.get("summary"), "input.summary")]
    shown += [text(part.get("text"), "input.content.text") for part in items(item.get("content"), "input.content")]
    return Thought("\n\n".join(shown), text(item.get("encrypted_content"), "input.encrypted_content"))


def _parts(content: Any, ask: Ask, field: str) -> list[Any]:
    if content is None or isinstance(content, str):
        return [Text(content)] if content else []
    found = (_part(part, ask, field) for part in items(content, field))
    return [part for part in found if part is not None]


def _part(part: dict[str, Any], ask: Ask, field: str) -> Text | Image | File | None:
    kind = part.get("type")
    if kind in ("input_text", "output_text", "text"):
        return Text(text(part.get("text"), f"{field}.text"))
    if kind == "refusal":
        return Text(text(part.get("refusal"), f"{field}.refusal"))
    if kind == "input_image" and part.get("image_url"):
        detail = text(part.get("detail"), f"{field}.detail")
        return Image(text(part["image_url"], f"{field}.image_url"), "" if detail == "auto" else detail)
    if kind == "input_file" and (part.get("file_data") or part.get("file_url")):
        return File(
            text(part.get("file_data") or part["file_url"], f"{field}.file"), text(part.get("filename"), "filename")
        )
    ask.drop(f"content:{kind}")
    return None


def _tools(offered: list[dict[str, Any]], ask: Ask, space: str = "") -> list[Tool]:
    found: list[Tool] = []
    for tool in offered:
        kind = tool.get("type")
        name, about = text(tool.get("name"), "tools.name"), text(tool.get("description"), "tools.description")
        if kind == "namespace":
            found += _tools(items(tool.get("tools"), "tools.tools"), ask, name)
        elif kind == "function" and name:
            found.append(
                Tool(name, about, tool.get("parameters"), flag(tool.get("strict"), "tools.strict"), space=space)
            )
        elif kind == "custom" and name:
            found.append(Tool(name, _with_grammar(about, tool), free=True, space=space))
        else:
            ask.drop(f"tool:{kind}")
    return found


def _with_grammar(about: str, tool: dict[str, Any]) -> str:
    """Put a tool's grammar into its description: no other API has a place for it."""
    form = block(tool.get("format"), "tools.format")
    definition = text(form.get("definition"), "tools.format.definition")
    if not definition:
        return about
    return f"{about}\n\nThe input follows this {form.get('syntax', 'lark')} grammar:\n{definition}"


def _choice(choice: Any, ask: Ask) -> Choice | None:
    if choice is None or isinstance(choice, str):
        return Choice(choice) if choice else None
    choice = block(choice, "tool_choice")
    kind = choice.get("type")
    if kind == "allowed_tools":
        names = [text(tool.get("name"), "name") for tool in items(choice.get("tools"), "tool_choice.tools")]
        ask.tools = [tool for tool in ask.tools if tool.name in names]
        return Choice(text(choice.get("mode"), "tool_choice.mode") or "auto")
    if kind in ("function", "custom"):
        return Choice("one", text(choice.get("name"), "tool_choice.name"), text(choice.get("namespace"), "namespace"))
    raise bad("tool_choice", f"the provider of this model has no tool of type '{str(kind)[:40]}'")


def _form(form: dict[str, Any]) -> Form | None:
    if form.get("type") == "json_object":
        return Form()
    if form.get("type") != "json_schema":
        return None
    name = text(form.get("name"), "text.format.name") or "answer"
    return Form(form.get("schema"), name, flag(form.get("strict"), "text.format.strict"))
