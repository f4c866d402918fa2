"""Request bodies as editors and coding agents send them, made from a seed: the same seed gives the same bytes.

Small ones are a question about a piece of code with an answer and a second question; from AGENT_FROM bytes on they are
agent runs, with tools offered, tool calls, and file contents as results.
"""

from collections.abc import Iterator
from random import Random
from typing import Any

import msgspec

AGENT_FROM = 16_000  # bytes
TURN_BYTES = (1_200, 6_000)  # of one tool result
_ESCAPES = 1.07  # bytes of JSON text per byte of code
_WORDS = tuple("load parse merge route retry flush index token cache scan shard encode check queue state".split())  # noqa: SIM905
_SYSTEM = "You are a careful coding assistant. Answer with a patch, then say in two sentences why it is right. "
_ASKS = (
    "Rename `{a}_{b}` to `{b}_{a}` here.",
    "Add type hints to this function.",
    "Write a docstring for `{a}_{b}`.",
    "What does this print for an empty list?",
    "`{a}_{b}` raises KeyError when the {a} is empty. Fix it and add a test.",
    "Make the {b} safe for several threads; readers must not wait for writers.",
    "The {a} is slow for a million items. Find out why and bring it below 100 ms without changing its results.",
    "Split this module so that the {a} no longer knows the {b}, and keep every public name working.",
    "Under load the {b} is sometimes lost after a restart. Work out the race and make it crash-consistent.",
    "Design how the {a} should fail over between two regions, then change the code step by step.",
)
_FOLLOW_UPS = ("Go on.", "Now the tests, please.", "Keep the signature as it was.", "That still fails for “ümlauts”.")
_FUNCTION = '''def {a}_{b}(self, items: list[str], limit: int = {n}) -> dict[str, int]:
    """Return the {a} of each {b}, at most `limit` of them."""
    seen: dict[str, int] = {{}}
    for position, item in enumerate(items):
        if not item or position >= limit:
            raise ValueError(f"bad {b}: {{item!r}} at {n}")
        seen[item] = seen.get(item, 0) + {m}
    return seen

'''


def body(size: int, seed: int, model: str, stream: bool) -> bytes:
    """Return a chat completions body of about `size` bytes, 1,000 at least."""
    return msgspec.json.encode({"model": model, "stream": stream, **conversation(size, seed)})


def conversation(size: int, seed: int) -> dict[str, Any]:
    """Return everything of such a body but `model` and `stream`."""
    chance = Random(seed)
    agent = size >= AGENT_FROM
    closing = {"role": "user", "content": chance.choice(_FOLLOW_UPS)}
    asked = {"messages": [], "max_tokens": 1_024, "temperature": 0.2} | ({"tools": tools(chance)} if agent else {})
    messages = asked["messages"] = [
        {"role": "system", "content": _SYSTEM * (20 if agent else 1)},
        {"role": "user", "content": _ask(chance, 0 if agent else size // 3)},
    ]
    room = size - len(msgspec.json.encode([asked, closing])) - 40
    messages += _run(chance, room) if agent else [{"role": "assistant", "content": _code(chance, room)}]
    messages.append(closing)
    return asked


def tools(chance: Random) -> list[dict[str, Any]]:
    """Return a dozen tools as agents offer them."""
    return [_tool(f"{chance.choice(_WORDS)}_{number}", chance.sample(_WORDS, 4)) for number in range(12)]


def _tool(name: str, arguments: list[str]) -> dict[str, Any]:
    value = {"type": "string", "description": "A value the tool needs, relative to the root of the workspace."}
    schema = {
        "type": "object",
        "properties": dict.fromkeys(arguments, value),
        "required": arguments[:1],
        "additionalProperties": False,
    }
    about = "Reads or changes files of the workspace and says what it has done. " * 4
    return {"type": "function", "function": {"name": name, "description": about, "parameters": schema}}


def _ask(chance: Random, size: int) -> str:
    a, b = chance.sample(_WORDS, 2)
    return f"{chance.choice(_ASKS).format(a=a, b=b)}\n\n```python\n{_code(chance, max(600, size))}```\n"


def _run(chance: Random, room: int) -> Iterator[dict[str, Any]]:
    """Yield tool calls with their results, `room` bytes of them."""
    number = 0
    while room > 0:
        call = _call(chance, number)
        result = {"role": "tool", "tool_call_id": f"call_{number:06d}", "content": ""}
        room -= len(msgspec.json.encode([call, result]))
        size = min(chance.randint(*TURN_BYTES), max(room, 0))
        result["content"] = _code(chance, size)
        room -= len(msgspec.json.encode(result["content"]))
        yield call
        yield result
        number += 1


def _call(chance: Random, number: int) -> dict[str, Any]:
    arguments = msgspec.json.encode({"path": f"src/{chance.choice(_WORDS)}.py", "start": number}).decode()
    function = {"name": "read_file", "arguments": arguments}
    call = {"id": f"call_{number:06d}", "type": "function", "function": function}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def _code(chance: Random, size: int) -> str:
    """Return code that takes about `size` bytes as JSON text."""
    wanted, parts = int(size / _ESCAPES), []
    while wanted > 0:
        a, b = chance.choices(_WORDS, k=2)
        part = _FUNCTION.format(a=a, b=b, n=chance.randint(1, 999), m=chance.randint(1, 9))[:wanted]
        parts.append(part)
        wanted -= len(part)
    return "".join(parts)
