"""Resuming: a broken stream of plain text continued by another backend, so that the client sees one answer.

    what the client got -> Scribe (text so far, ids, may it go on?) -> continued (the next request)
    what the next backend says -> Splice (the first one's ids, Seam) -> what the client gets

Only plain text goes on: no tool call, no reasoning, no refusal, one choice. Everything here is in the client's dialect.
"""

from collections.abc import Callable
from typing import NamedTuple

from twospeed.dialects.resuming.choices import ChoicesScribe, ChoicesSplice
from twospeed.dialects.resuming.continuation import Prefill, continued
from twospeed.dialects.resuming.messages import MessagesScribe, MessagesSplice
from twospeed.dialects.resuming.reading import Heard, Splice, Spliced
from twospeed.dialects.resuming.scribe import Scribe
from twospeed.types import Usage


class Kit(NamedTuple):
    """What a dialect needs to be resumed."""

    scribe: Callable[[], Scribe]
    splice: Callable[[Scribe, str, Usage], Splice]


KITS: dict[str, Kit] = {
    "openai_chat": Kit(ChoicesScribe, ChoicesSplice),
    "openai_completions": Kit(ChoicesScribe, ChoicesSplice),
    "anthropic_messages": Kit(MessagesScribe, MessagesSplice),
}

__all__ = ["KITS", "Heard", "Kit", "Prefill", "Scribe", "Spliced", "continued"]
