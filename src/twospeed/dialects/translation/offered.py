"""Offered: the tools that a request brings along, and whether answering it may act on anything beyond itself.

A tool that the provider runs by itself acts, unless it only searches; so does a request that the provider is to keep.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec

from twospeed.dialects.openai_answer import UNREADABLE
from twospeed.dialects.translation.hub import wire_name
from twospeed.types import NULL

# Types of tools that the client itself runs, or that change nothing: by how they begin.
_HARMLESS = {
    "openai_chat": ("function", "custom"),
    "openai_responses": ("function", "custom", "namespace", "local_shell", "apply_patch", "web_search", "file_search"),
    "anthropic_messages": ("custom", "bash_", "text_editor_", "computer_", "memory_", "web_search_"),
}


class Offer(NamedTuple):
    """`tools`: JSON Schema of the arguments by name, as JSON text; None for one that takes any text.

    `acts`: answering may have effects that last, or it cannot be told.
    """

    tools: Mapping[str, bytes | None]
    acts: bool = False


class Function(msgspec.Struct, gc=False):
    """A tool as chat completions name it."""

    name: str = ""
    parameters: msgspec.Raw = NULL


class Tool(msgspec.Struct, gc=False):
    """A tool of any dialect; what it is called and what it takes is in one of these places."""

    type: str = ""
    name: str = ""
    function: Function | None = None
    custom: Function | None = None
    parameters: msgspec.Raw = NULL
    input_schema: msgspec.Raw = NULL
    tools: list["Tool"] | None = None


class Offering(msgspec.Struct, gc=False):
    """What is read of a body."""

    tools: list[Tool] | None = None
    functions: list[Function] | None = None
    store: bool | None = None
    mcp_servers: msgspec.Raw = NULL
    container: msgspec.Raw = NULL


_offering = msgspec.json.Decoder(Offering)


def offered(dialect: str, body: bytes) -> Offer:
    """Return what a request body offers. Args: dialect: name of the client's dialect."""
    try:
        offering = _offering.decode(body)
    except UNREADABLE:
        return Offer({}, acts=True)
    tools = offering.tools or []
    kept = dialect == "openai_responses" and offering.store is not False  # kept unless asked not to
    bound = offering.mcp_servers != NULL or offering.container != NULL
    acts = kept or bound or any(not _harmless(dialect, tool) for tool in tools)
    legacy = [Tool("function", function=function) for function in offering.functions or []]
    return Offer({name: schema for tool in [*tools, *legacy] for name, schema in _named(tool)}, acts)


def _harmless(dialect: str, tool: Tool) -> bool:
    return not tool.type or tool.type.startswith(_HARMLESS.get(dialect, ()))


def _named(tool: Tool) -> Iterator[tuple[str, bytes | None]]:
    if tool.tools is not None:
        for inner in tool.tools:
            for name, schema in _named(inner):
                yield name, schema
                yield wire_name(tool.name, name), schema
    elif tool.custom is not None or (tool.type == "custom" and tool.input_schema is NULL):
        yield (tool.custom.name if tool.custom else tool.name), None
    else:
        own = tool.function or Function(tool.name, tool.parameters)
        schema = own.parameters if own.parameters is not NULL else tool.input_schema
        if own.name:
            yield own.name, bytes(schema)
