"""The strongest signals behind a score, in words: what the answer would be without each of them.

Only made when somebody asks, since it scores a request once per signal. A signal is a group of features; without it means
that the group is what it is for the average request. What is said is the change of the log odds, in tenths.
"""

from collections.abc import Callable, Sequence
from math import log

import numpy as np
from numpy.typing import NDArray

from twospeed.policy.content import open_all
from twospeed.policy.features import DENSE, count_of, measure_ask, placed
from twospeed.policy.learned import Learned
from twospeed.policy.reading import Reader
from twospeed.policy.stage import Stage, stage
from twospeed.types import Conversation

MOST = 4  # signals told
LEAST = 0.1  # of the log odds; weaker ones are not worth a word
_Dense = NDArray[np.uint8]


def _count(name: str) -> Callable[[_Dense], int]:
    at = DENSE.index(name)
    return lambda dense: count_of(int(dense[at]))


_WORDS, _CODE_WORDS = _count("text_words"), _count("code_words")
_CODE_SHAPE = ("indent_4", "indent_8", "indent_12", "indent_16", "unbalanced")
_RUN = ("steps", "edits", "runs", "working")
_TROUBLE = ("failures", "failed_before", "repeats")
_FLOW = ("does_else", "does_loops", "does_branches", "does_returns", "does_functions", "does_classes", "does_imports")
_CALLS = ("does_building", "does_strings", "does_counting", "does_logic")
_RISK = ("does_failing", "does_parallel", "does_asserts")
_WRITING = (
    "about_else",
    "about_asking",
    "about_making",
    "about_changing",
    "about_plain",
    "about_examples",
    "about_things",
)
_FAULTS = ("about_mending", "about_trouble", "about_expecting", "traces")
_DEMANDS = ("about_musts", "about_maths", "about_conditions", "about_negations", "about_systems", "checks")
_FORM = ("paragraphs", "items", "addresses")


def signals(learned: Learned, reader: Reader, conversation: Conversation) -> tuple[str, ...]:
    """Return up to MOST signals, strongest first, each with its direction and strength."""
    opened = open_all(conversation.messages)
    facts = stage(conversation, opened)
    measures = measure_ask(reader.ask(conversation, opened))
    dense, words = placed(measures.dense, facts), learned.weigh(measures)
    whole = _odds(learned, dense, words)
    found = [(whole - _odds(learned, dense, 0j), "its wording")]
    for columns, say in _GROUPS:
        told = say(dense, facts)
        if told and len(columns):
            without = dense.copy()
            without[columns] = learned.usual[columns]
            found.append((whole - _odds(learned, without, words), told))
    strong = sorted((one for one in found if abs(one[0]) >= LEAST), key=lambda one: -abs(one[0]))
    return tuple(f"{told} ({'deep' if change > 0 else 'fast'} {abs(change):.1f})" for change, told in strong[:MOST])


def _odds(learned: Learned, dense: _Dense, words: complex) -> float:
    chance = min(1 - 1e-9, max(1e-9, learned.combine(dense, words)[0]))
    return log(chance / (1.0 - chance))


def _columns(*names: str, prefix: str = "\0") -> list[int]:
    return [at for at, name in enumerate(DENSE) if name in names or name.startswith(prefix)]


_Say = Callable[[_Dense, Stage], str]
_GROUPS: Sequence[tuple[list[int], _Say]] = (
    (_columns("text_words", *_FORM, prefix="text_"), lambda dense, _: f"an instruction of about {_WORDS(dense)} words"),
    (_columns(*_WRITING), lambda *_: "the kind of work its words name"),
    (_columns(*_FAULTS), lambda *_: "how much it speaks of faults"),
    (_columns(*_DEMANDS), lambda *_: "how many demands and cases it states"),
    (
        _columns("code_words", "code_lines", *_CODE_SHAPE, prefix="code_"),
        lambda dense, _: (
            f"about {_CODE_WORDS(dense)} words of code in the instruction"
            if _CODE_WORDS(dense)
            else "no code in the instruction"
        ),
    ),
    (_columns(*_FLOW), lambda dense, _: "what its code is made of" if _CODE_WORDS(dense) else ""),
    (_columns(*_CALLS), lambda dense, _: "what its code calls" if _CODE_WORDS(dense) else ""),
    (_columns(*_RISK), lambda dense, _: "errors, tests or concurrency in its code" if _CODE_WORDS(dense) else ""),
    (_columns(*_RUN), lambda _, facts: f"an agent run of {facts.steps} steps" if facts.steps else "no agent run yet"),
    (
        _columns(*_TROUBLE),
        lambda _, facts: f"failures ({facts.failures}) and repeats ({facts.repeats}) of late" if facts.steps else "",
    ),
)
