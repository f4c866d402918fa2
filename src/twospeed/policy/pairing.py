"""Pairs: one request answered by two versions, and what tells the answers apart. Holds no word of either.

Cheap on purpose: texts are compared by the pairs of neighbouring words they have in common, the first LONGEST characters of each.
"""

import re
from collections import Counter
from itertools import pairwise
from typing import Any, Literal

import msgspec

from twospeed.types import Called, Heard

LONGEST = 4_000  # characters of each text that are compared
ALIKE = 0.5  # similarity below which two texts count as different
_WORD = re.compile(r"\w+|[^\w\s]+")
_FINISH = {  # the words of all dialects for the same thing
    **dict.fromkeys(("stop", "end_turn", "stop_sequence", "completed", "eos"), "stop"),
    **dict.fromkeys(("length", "max_tokens", "max_output_tokens", "incomplete"), "length"),
    **dict.fromkeys(("tool_calls", "function_call", "tool_use"), "tool_calls"),
    **dict.fromkeys(("content_filter", "refusal"), "refusal"),
}

Tools = Literal["", "same", "arguments", "tool", "only_stable", "only_candidate"]


class Side(msgspec.Struct, frozen=True):
    """What one version made of a request. Durations in seconds since its attempt began, None where not known.

    `fault`: kind of the fault that ended it, "" for a whole answer. `finish`: "" where it does not say.
    """

    fault: str = ""
    latency: float | None = None
    first_token: float | None = None
    output_tokens: int | None = None
    finish: str = ""
    refusal: bool = False
    tool_call_valid: bool | None = None
    stall: bool = False

    @property
    def ok(self) -> bool:
        """Say whether it answered."""
        return not self.fault


class Pair(msgspec.Struct, frozen=True):
    """One request, both versions. `at`: when it came, seconds since the epoch. `language`: "" for unknown.

    `tools`: how their tool calls compare: the same tools with the same arguments, with other arguments, other tools, or
    calls of one version only; "" when neither called any. `arguments`: share of argument keys that both gave the same
    value. `similarity`: of their texts, 0..1. None where there is nothing to compare.
    """

    rollout: str
    at: float
    stable: Side
    candidate: Side
    session: str = ""
    language: str = ""
    stream: bool = False
    tools: Tools = ""
    arguments: float | None = None
    similarity: float | None = None

    def differs(self) -> list[str]:
        """Name what differs: of fault, finish, tool, arguments, refusal, text.

        >>> Pair("r", 0.0, Side(), Side(refusal=True, finish="stop")).differs()
        ['refusal']
        """
        stable, candidate = self.stable, self.candidate
        if not (stable.ok and candidate.ok):
            return ["fault"] if stable.ok != candidate.ok else []
        found = {
            "finish": bool(stable.finish and candidate.finish) and stable.finish != candidate.finish,
            "tool": self.tools not in ("", "same", "arguments"),
            "arguments": self.tools == "arguments",
            "refusal": stable.refusal != candidate.refusal,
            "text": self.similarity is not None and self.similarity < ALIKE,
        }
        return [name for name, differs in found.items() if differs]


def finish_of(word: str, heard: Heard) -> str:
    """Return why an answer ended in one word for all dialects.

    >>> finish_of("end_turn", Heard()), finish_of("completed", Heard(calls=(Called("ls", "{}"),)))
    ('stop', 'tool_calls')
    """
    finish = _FINISH.get(word, word)
    return "tool_calls" if finish == "stop" and heard.calls else finish


def agreement(stable: Heard, candidate: Heard) -> tuple[Tools, float | None]:
    """Compare the tool calls of two answers; the order in which different tools are called does not matter."""
    if stable.deaf or candidate.deaf or not (stable.calls or candidate.calls):
        return "", None
    if not candidate.calls:
        return "only_stable", None
    if not stable.calls:
        return "only_candidate", None
    names = [Counter(call.name for call in heard.calls) for heard in (stable, candidate)]
    shares = _shares(stable.calls, candidate.calls)
    share = sum(shares) / len(shares) if shares else 0.0
    if names[0] != names[1]:
        return "tool", share
    return ("same" if share == 1.0 else "arguments"), share


def similarity(one: str, other: str) -> float | None:
    """Say how much of two texts is the same, 0..1: twice what they share of their parts. None when both are empty.

    >>> similarity("return a + b", "return a + b"), similarity("return a", "raise b"), similarity("", "")
    (1.0, 0.0, None)
    """
    left, right = _shingles(one), _shingles(other)
    total = len(left) + len(right)
    return 2 * len(left & right) / total if total else None


def _shingles(text: str) -> set[tuple[str, str]]:
    words = _WORD.findall(text[:LONGEST].lower())
    return set(pairwise(words)) if len(words) > 1 else {(word, "") for word in words}


def _shares(stable: tuple[Called, ...], candidate: tuple[Called, ...]) -> list[float]:
    """Return, for each stable call that has a counterpart, the share of arguments that are alike."""
    left = list(candidate)
    shares = []
    for call in stable:
        other = next((one for one in left if one.name == call.name), None)
        if other is not None:
            left.remove(other)
            shares.append(_alike(_read(call.arguments), _read(other.arguments)))
    return shares


def _read(arguments: str) -> Any:
    try:
        return msgspec.json.decode(arguments)
    except (msgspec.DecodeError, RecursionError):
        return arguments


def _alike(one: Any, other: Any) -> float:
    if not (isinstance(one, dict) and isinstance(other, dict)):
        return float(one == other)
    keys = one.keys() | other.keys()
    alike = sum(1 for key in keys if key in one and key in other and one[key] == other[key])
    return alike / len(keys) if keys else 1.0
