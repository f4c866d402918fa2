"""Writes the script of one answer: a tool call, JSON that fits a schema, a short form, or prose with code."""

from collections.abc import Sequence
from random import Random

import msgspec

from twospeed.types import NULL
from twospeed.upstream.script import Ask, Finish, Script
from twospeed.upstream.script.prose import Topic, answer, language, pieces
from twospeed.upstream.script.schema import instance
from twospeed.upstream.script.shortform import (
    command_block,
    commit_message,
    edits_from_text,
    middle,
    title,
    wants_commit_message,
    wants_title,
)
from twospeed.upstream.script.toolbox import calls, hint

CACHED_FROM = 1024  # input tokens from which a provider keeps a prompt
CACHE_BLOCK = 128  # tokens; cached prompts are counted in blocks of this size


def write(ask: Ask, chance: Random, tokens: int, reasoning: int = 0, tools: bool = True) -> Script:
    """Write the answer to a request.

    Args:
        tokens: Length of an answer in free text; short forms and tool calls have their own.
        reasoning: Tokens of reasoning before it, usually 0.
        tools: Whether tools may be called at all.
    """
    script = Script(input_tokens=max(1, ask.input_bytes // 4), cached_tokens=_cached(ask))
    room = max(0, ask.max_tokens) if ask.max_tokens is not None else tokens + reasoning + 100_000
    script.reasoning = answer(chance, Topic(listings=False), reasoning)[:room]
    script.calls = calls(ask, chance) if tools else []
    if script.calls and script.output_tokens <= room:
        script.finish = "tool_calls"
        return script
    script.calls = []
    script.text, script.finish = _cut(_text(ask, chance, tokens), ask.stop, room - len(script.reasoning))
    return script


def _text(ask: Ask, chance: Random, tokens: int) -> list[str]:
    if ask.schema != NULL:
        value = instance(msgspec.json.decode(ask.schema), lambda name: hint(name, ask, chance))
        return pieces(msgspec.json.encode(value).decode())
    short = _short_form(ask, chance)
    if short:
        return pieces(short)
    return answer(chance, Topic(language(ask.prompt[-1000:]), listings=not edits_from_text(ask)), tokens)


def _short_form(ask: Ask, chance: Random) -> str:
    if ask.fill:
        return middle(ask.prompt, ask.suffix, chance)
    if ask.tools:
        return ""
    if wants_commit_message(ask):
        return commit_message(ask.prompt, chance)
    if wants_title(ask):
        return title(ask.prompt)
    return command_block(ask)


def _cut(said: list[str], stop: Sequence[str], room: int) -> tuple[list[str], Finish]:
    text = "".join(said) if stop else ""
    ends = [at for at in (text.find(word) for word in stop if word) if at >= 0]
    if ends:
        said = pieces(text[: min(ends)])
    return (said[: max(0, room)], "length") if len(said) > room else (said, "stop")


def _cached(ask: Ask) -> int:
    """Return what a provider would have kept of the prompt: nothing at first, later all but the newest part."""
    tokens = ask.input_bytes // 4
    return tokens * 9 // 10 // CACHE_BLOCK * CACHE_BLOCK if ask.turns and tokens >= CACHED_FROM else 0
