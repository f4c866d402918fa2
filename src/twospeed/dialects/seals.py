"""Reasoning that one provider signed or encrypted, carried through a client that speaks another dialect.

A block that must return byte for byte is put, whole, into the place where the client's dialect keeps such things
(`encrypted_content`, `signature`), marked with the provider's name. Back at its provider it is unpacked; anywhere else
it is left out. Nothing is signed here and nothing is read: a seal is a wrapping, not a signature.
"""

import base64
import binascii
from collections.abc import Iterable
from typing import Any

import msgspec

from twospeed.dialects.body import Span, spans, splice
from twospeed.types import NULL

_MARK = "twospeed-sealed-1"
_MARK_BYTES = _MARK.encode()


class _Block(msgspec.Struct):
    """A reasoning item or a thinking block, where it keeps what its provider signed."""

    type: str | None = None
    encrypted_content: str | None = None
    signature: str | None = None
    data: str | None = None


class _Turn(msgspec.Struct):
    role: str | None = None
    content: msgspec.Raw = NULL


_blocks = msgspec.json.Decoder(list[msgspec.Raw])
_decode_block = msgspec.json.Decoder(_Block)
_decode_turn = msgspec.json.Decoder(_Turn)


def seal(provider: str, block: bytes = b"") -> str:
    """Wrap a provider's block; without one only whose it is will be known.

    >>> opened(seal("a", b"{}"), "a"), opened(seal("a", b"{}"), "b"), opened("its own", "a")
    (b'{}', None, None)
    """
    return f"{_MARK}:{provider}:{base64.b64encode(block).decode()}"


def opened(text: str, provider: str) -> bytes | None:
    """Return the block of this provider that was wrapped, None when there is none."""
    mark, _, rest = text.partition(":")
    owner, _, packed = rest.partition(":")
    if mark != _MARK or owner != provider:
        return None
    try:
        return base64.b64decode(packed, validate=True) or None
    except (binascii.Error, ValueError):
        return None


def is_seal(text: str | None) -> bool:
    """Say whether a signature is one of our wrappings."""
    return bool(text) and str(text).startswith(_MARK)


def sealed(body: bytes) -> bool:
    """Say whether a body may hold one."""
    return _MARK_BYTES in body


def without_sealed_items(body: bytes) -> bytes:
    """Return a Responses body without the reasoning items that carry a seal; all else stays byte for byte."""
    return _filtered(body, spans(body, "input"))


def without_sealed_thinking(body: bytes) -> bytes:
    """Return a Messages body without the thinking blocks that carry a seal; all else stays byte for byte.

    Thinking is switched off for the request when it was enabled and the turn it must begin with is gone: Anthropic
    refuses the request otherwise.
    """
    for at in reversed(spans(body, "messages")):
        turns = _list(body[at[0] : at[1]])
        mended = [turn for turn in map(_mended, turns) if turn]
        if mended != turns:
            body = splice(body, at, _joined(mended))
            body = body if _thinks(mended) else _unthinking(body)
    return body


def _thinks(turns: list[bytes]) -> bool:
    """Say whether the newest turn of the assistant begins with thinking, or calls no tool."""
    said = [turn for turn in map(_decode_turn.decode, turns) if turn.role == "assistant"]
    if not said or memoryview(said[-1].content)[0] != 0x5B:
        return True
    kinds = [_decode_block.decode(block).type for block in _list(bytes(said[-1].content))]
    return "tool_use" not in kinds or kinds[0] in ("thinking", "redacted_thinking")


def _unthinking(body: bytes) -> bytes:
    for at in reversed(spans(body, "thinking")):
        if _decode_block.decode(body[at[0] : at[1]]).type == "enabled":
            body = splice(body, at, b'{"type":"disabled"}')
    return body


def _mended(turn: bytes) -> bytes:
    """Return a turn without sealed blocks, b"" when nothing is left of it."""
    if _MARK_BYTES not in turn:
        return turn
    content = _decode_turn.decode(turn).content
    if content is NULL or memoryview(content)[0] != 0x5B:
        return turn
    blocks = _list(bytes(content))
    kept = [block for block in blocks if not _is_sealed(block)]
    if len(kept) == len(blocks):
        return turn
    return splice(turn, spans(turn, "content")[-1], _joined(kept)) if kept else b""


def _filtered(body: bytes, found: list[Span]) -> bytes:
    for at in reversed(found):
        if body[at[0] : at[0] + 1] != b"[":
            continue
        items = _list(body[at[0] : at[1]])
        kept = [item for item in items if not _is_sealed(item)]
        if len(kept) < len(items):
            body = splice(body, at, _joined(kept))
    return body


def _is_sealed(block: bytes) -> bool:
    if _MARK_BYTES not in block:
        return False
    try:
        read = _decode_block.decode(block)
    except msgspec.ValidationError:
        return False
    return any(is_seal(text) for text in (read.encrypted_content, read.signature, read.data))


def _list(text: bytes) -> list[bytes]:
    found: list[Any] = _blocks.decode(text) if text[:1] == b"[" else []
    return [bytes(item) for item in found]


def _joined(items: Iterable[bytes]) -> bytes:
    return b"[" + b",".join(items) + b"]"
