"""Messages as clients write them -> Ask. A turn with tool results is split: what tools say, then what the user says."""

from typing import Any

import msgspec

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
    Text,
    Thought,
    Tool,
    Turn,
)
from twospeed.dialects.translation.reading import block, flag, items, note_rest, number, text, whole, words

_KNOWN = frozenset(
    {
        *(
            "model",
            "messages",
            "system",
            "tools",
            "tool_choice",
            "max_tokens",
            "temperature",
            "top_p",
            "stop_sequences",
        ),
        *("thinking", "output_config", "output_format", "stream", "metadata", "models", "provider"),
    }
)
_MODES = {"auto": "auto", "any": "required", "none": "none"}
_THINKS_HARD = 16_000  # tokens of thinking budget
_THINKS = 4_000
_BILLING = "x-anthropic-billing-header"
_encode = msgspec.json.encode


def read(body: bytes) -> Ask:
    """Read a request. Raises: Fault BAD_REQUEST."""
    asked = whole(body)
    ask = Ask(turns=[], max_tokens=asked.get("max_tokens"))
    system = [part for part in _parts(asked.get("system"), ask) if not _is_billing(part)]
    if system:
        ask.turns.append(Turn("system", system))
    for message in items(asked.get("messages"), "messages"):
        ask.turns += _turns(message, ask)
    ask.tools = [tool for tool in (_tool(tool, ask) for tool in items(asked.get("tools"), "tools")) if tool]
    choice = block(asked.get("tool_choice"), "tool_choice")
    ask.choice = _choice(choice)
    ask.parallel = False if choice.get("disable_parallel_tool_use") is True else None
    ask.temperature = number(asked.get("temperature"), "temperature")
    ask.top_p = number(asked.get("top_p"), "top_p")
    ask.stop = words(asked.get("stop_sequences"), "stop_sequences")
    output = block(asked.get("output_config"), "output_config")
    form = block(output.get("format") or asked.get("output_format"), "output_config.format")
    ask.form = Form(form.get("schema")) if form.get("type") == "json_schema" else None
    ask.effort = _effort(output, block(asked.get("thinking"), "thinking"))
    ask.user = text(block(asked.get("metadata"), "metadata").get("user_id"), "metadata.user_id")
    ask.stream = asked.get("stream") is True
    note_rest(ask, asked, _KNOWN)
    return ask


def _is_billing(part: Any) -> bool:
    return isinstance(part, Text) and part.text.startswith(_BILLING)


def _turns(message: dict[str, Any], ask: Ask) -> list[Turn]:
    role = text(message.get("role"), "messages.role")
    if role not in ("user", "assistant", "system"):
        raise bad("messages.role", "not a role that can be translated")
    parts = _parts(message.get("content"), ask)
    results: list[Part] = [part for part in parts if isinstance(part, Result)]
    rest = [part for part in parts if not isinstance(part, Result)]
    turns = [Turn("tool", [result]) for result in results]
    if rest or not turns:
        turns.append(Turn(role, rest))  # type: ignore[arg-type]
    return turns


def _parts(content: Any, ask: Ask) -> list[Any]:
    if content is None or isinstance(content, str):
        return [Text(content)] if content else []
    found = (_part(part, ask) for part in items(content, "messages.content"))
    return [part for part in found if part is not None]


def _part(part: dict[str, Any], ask: Ask) -> Part | None:
    match part.get("type"):
        case "text":
            if part.get("cache_control"):
                ask.drop("cache_control")
            return Text(text(part.get("text"), "messages.content.text"))
        case "image":
            return Image(_source(block(part.get("source"), "messages.content.source")))
        case "document":
            return _document(part)
        case "thinking":
            return Thought(text(part.get("thinking"), "thinking"), text(part.get("signature"), "signature"))
        case "redacted_thinking":
            return Thought("", text(part.get("data"), "messages.content.data"))
        case "tool_use":
            arguments = _encode(block(part.get("input"), "messages.content.input")).decode()
            return Call(text(part.get("id"), "messages.content.id"), text(part.get("name"), "name"), arguments)
        case "tool_result":
            return _result(part, ask)
    ask.drop(f"content:{part.get('type')}")
    return None


def _result(part: dict[str, Any], ask: Ask) -> Result:
    inner = [found for found in _parts(part.get("content"), ask) if isinstance(found, Text | Image | File)]
    return Result(text(part.get("tool_use_id"), "messages.content.tool_use_id"), inner, part.get("is_error") is True)


def _source(source: dict[str, Any]) -> str:
    """Return where a picture or document is, as http(s) or data URL."""
    if source.get("type") == "base64":
        return f"data:{text(source.get('media_type'), 'media_type')};base64,{text(source.get('data'), 'source.data')}"
    if source.get("type") == "url":
        return text(source.get("url"), "messages.content.source.url")
    raise bad("messages.content.source", "only base64 and url can be given to the provider of this model")


def _document(part: dict[str, Any]) -> Part:
    source = block(part.get("source"), "messages.content.source")
    name = text(part.get("title"), "messages.content.title")
    if source.get("type") == "text":
        return Text(text(source.get("data"), "messages.content.source.data"))
    return File(_source(source), name)


def _tool(tool: dict[str, Any], ask: Ask) -> Tool | None:
    name = text(tool.get("name"), "tools.name")
    if tool.get("type") not in (None, "custom") or not name:
        ask.drop(f"tool:{tool.get('type') or name}")
        return None
    about = text(tool.get("description"), "tools.description")
    return Tool(name, about, tool.get("input_schema"), flag(tool.get("strict"), "tools.strict"))


def _choice(choice: dict[str, Any]) -> Choice | None:
    kind = choice.get("type")
    if kind == "tool":
        return Choice("one", text(choice.get("name"), "tool_choice.name"))
    return Choice(_MODES.get(str(kind), "auto")) if kind else None


def _effort(output: dict[str, Any], thinking: dict[str, Any]) -> str:
    """Return the effort asked for by name, or what a budget of thinking amounts to; adaptive thinking asks nothing."""
    named = text(output.get("effort"), "output_config.effort").lower()
    if named or thinking.get("type") != "enabled":
        return named
    budget = number(thinking.get("budget_tokens"), "thinking.budget_tokens") or 0
    return "high" if budget >= _THINKS_HARD else "medium" if budget >= _THINKS else "low"
