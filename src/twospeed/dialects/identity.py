"""Whose conversation a body belongs to: ids that clients put into it, in order of trust, and how it opens."""

from collections.abc import Iterable
from typing import TypeVar

import msgspec

from twospeed.types import NULL, Declared, Message

T = TypeVar("T")

_LONGEST = 512  # characters; no client sends longer ones
_READ_BYTES = 65_536  # longer content holds images, and is compared as it stands
_ARRAY = 0x5B  # "["
_decode_text: msgspec.json.Decoder[str | None] = msgspec.json.Decoder(str | None)


class Metadata(msgspec.Struct, gc=False):
    """`metadata` or `client_metadata`. `user_id` may itself be JSON text with a session id in it (Claude Code)."""

    session_id: str | None = None
    user_id: str | None = None
    thread_id: str | None = None


class Block(msgspec.Struct, gc=False):
    """One part of a message, as far as its text: marks for a prompt cache move on with each turn (pi)."""

    text: msgspec.Raw = NULL


_decode_blocks = msgspec.json.Decoder(list[Block])
_decode_metadata: msgspec.json.Decoder[Metadata | None] = msgspec.json.Decoder(Metadata | None)


def declared(
    cache_key: msgspec.Raw, metadata: msgspec.Raw = NULL, client_metadata: msgspec.Raw = NULL
) -> Declared | None:
    """Return the most trusted session id among the values of `prompt_cache_key`, `metadata`, `client_metadata`.

    >>> declared(msgspec.Raw(b'"k1"'))
    Declared(source='prompt_cache_key', id='k1')
    """
    if cache_key is metadata is client_metadata:  # the usual body has none of them: each is NULL
        return None
    if cache_key is not NULL and (key := _lenient(_decode_text, cache_key)):
        return Declared("prompt_cache_key", key[:_LONGEST])
    for source, value in (("metadata", metadata), ("client_metadata", client_metadata)):
        if value is not NULL and (found := _session(_lenient(_decode_metadata, value))):
            return Declared(source, found[:_LONGEST])
    return None


def opening(messages: Iterable[Message]) -> list[bytes]:
    """Return what tells conversations apart: the first system prompt and the first user message, as JSON text."""
    parts: list[bytes] = []
    for item in messages:
        role = item.role
        if role == "user":
            parts.append(_said(item.content))
            break
        if role in ("system", "developer") and not parts:
            parts.append(bytes(item.content))
    return parts


def _said(content: msgspec.Raw) -> bytes:
    """Return what a message says, the same whether it stands there as a string or as one part."""
    whole = bytes(content)
    if whole[0] == _ARRAY and len(whole) <= _READ_BYTES and (blocks := _lenient(_decode_blocks, content)):
        texts = [bytes(block.text) for block in blocks]
        return b"".join(texts) if b"null" not in texts else whole
    return whole


def _session(metadata: Metadata | None) -> str:
    if metadata is None:
        return ""
    return metadata.session_id or _of_user(metadata.user_id or "") or metadata.thread_id or ""


def _of_user(user_id: str) -> str:
    """Claude Code: JSON text in newer versions, `user_<hash>_account_<id>_session_<id>` in older ones."""
    if user_id.startswith("{"):
        inner = _lenient(_decode_metadata, user_id)
        return (inner.session_id or "") if inner else ""
    return user_id.partition("_session_")[2]


def _lenient(decoder: msgspec.json.Decoder[T], value: msgspec.Raw | str) -> T | None:
    try:
        return decoder.decode(value)
    except (msgspec.DecodeError, RecursionError):
        return None
