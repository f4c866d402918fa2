"""Answers that carry `choices` and `usage`: what chat and completions answers say about themselves."""

from collections.abc import Sequence

import msgspec

from twospeed.dialects import Answer
from twospeed.dialects.openai_errors import provider_error
from twospeed.errors import Fault, Kind
from twospeed.types import NULL, Usage

EMPTY = frozenset({b"null", b'""', b"[]", b"{}"})
_ERROR = msgspec.Raw(b'"error"')
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Cached(msgspec.Struct, gc=False):
    """`prompt_tokens_details`; `cache_write_tokens`: as OpenRouter says it."""

    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class Reasoned(msgspec.Struct, gc=False):
    """`completion_tokens_details`."""

    reasoning_tokens: int | None = None


class Tokens(msgspec.Struct, gc=False):
    """The `usage` block of an answer. `prompt_cache_hit_tokens`: how DeepSeek says what was cached."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_cache_hit_tokens: int | None = None
    prompt_tokens_details: Cached | None = None
    completion_tokens_details: Reasoned | None = None

    def usage(self) -> Usage:
        """Return it as the noun; what the provider left out is 0."""
        cached, reasoned = self.prompt_tokens_details, self.completion_tokens_details
        return Usage(
            self.prompt_tokens or 0,
            self.completion_tokens or 0,
            (cached.cached_tokens if cached else None) or self.prompt_cache_hit_tokens or 0,
            (reasoned.reasoning_tokens or 0) if reasoned else 0,
            cache_write_tokens=(cached.cache_write_tokens or 0) if cached else 0,
        )


class Ending(msgspec.Struct, gc=False):
    """A choice of an unstreamed answer."""

    finish_reason: str | None = None


class Whole(msgspec.Struct, gc=False):
    """An unstreamed answer, as far as we read it."""

    choices: list[Ending] | None = None
    usage: msgspec.Raw = NULL
    error: msgspec.Raw = NULL
    object: msgspec.Raw = NULL


_whole = msgspec.json.Decoder(Whole)
_tokens: msgspec.json.Decoder[Tokens | None] = msgspec.json.Decoder(Tokens | None)


def answer(body: bytes) -> Answer:
    """Read an unstreamed answer. Raises: Fault BAD_ANSWER, ERROR_EVENT."""
    try:
        whole = _whole.decode(body)
    except UNREADABLE:
        raise _unreadable("not a JSON answer") from None
    if whole.error is not NULL and bytes(whole.error) not in EMPTY:
        raise provider_error(whole.error)
    if whole.object == _ERROR:
        raise provider_error(msgspec.Raw(body))
    if whole.choices is None:
        raise _unreadable("no choices")
    counted = tokens(whole.usage)
    return Answer(counted.usage() if counted else None, _finish(whole.choices))


def tokens(usage: msgspec.Raw) -> Tokens | None:
    """Read a `usage` block; a provider's odd figures are not worth an answer."""
    try:
        return _tokens.decode(usage)
    except UNREADABLE:
        return None


def _finish(choices: Sequence[Ending]) -> str:
    for choice in choices:
        if choice.finish_reason:
            return choice.finish_reason
    return ""


def _unreadable(why: str) -> Fault:
    return Fault(Kind.BAD_ANSWER, "The provider's answer could not be read.", detail=f"answer: {why}")
