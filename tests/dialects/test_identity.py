"""Session ids in bodies, as clients write them."""

import json

import pytest
from msgspec import Raw

from twospeed.dialects.identity import declared, opening
from twospeed.types import NULL, Declared, Message


def raw(value: object) -> Raw:
    """JSON text of a value."""
    return Raw(json.dumps(value).encode())


def test_the_cache_key_is_trusted_most():
    """A prompt cache key names the session, whatever metadata says."""
    assert declared(raw("k"), raw({"session_id": "m"})) == Declared("prompt_cache_key", "k")


@pytest.mark.parametrize(
    ("metadata", "session"),
    [
        ({"session_id": "s"}, "s"),
        ({"user_id": json.dumps({"device_id": "d", "session_id": "s"})}, "s"),
        ({"user_id": "user_ab_account_cd_session_s"}, "s"),
        ({"thread_id": "t"}, "t"),
    ],
)
def test_metadata_names_sessions_in_several_ways(metadata: dict[str, str], session: str):
    """Claude Code writes JSON into user_id, older versions a composed name, others a plain session_id."""
    assert declared(NULL, raw(metadata)) == Declared("metadata", session)
    assert declared(NULL, NULL, raw(metadata)) == Declared("client_metadata", session)


@pytest.mark.parametrize(
    "metadata", [None, [], "x", {}, {"user_id": "ann"}, {"user_id": "{"}, {"user_id": "{[]"}, {"session_id": 7}]
)
def test_other_metadata_names_none(metadata: object):
    """A plain user name is not a session, and odd metadata is nobody's mistake."""
    assert declared(NULL, raw(metadata)) is None
    assert declared(raw(7), NULL) is None


def test_very_long_ids_are_cut():
    """An id cannot be used to carry a body's worth of text."""
    found = declared(raw("k" * 10_000))
    assert found is not None
    assert len(found.id) == 512


def test_a_conversation_opens_with_its_system_prompt_and_first_user_message():
    """Later turns of a conversation open the same way."""
    first = [Message("system", raw("be brief")), Message("user", raw("hi"))]
    assert opening(first) == [b'"be brief"', b'"hi"']
    assert opening([*first, Message("assistant", raw("yo")), Message("user", raw("more"))]) == opening(first)
    assert opening([Message("assistant", raw("yo"))]) == []


def test_a_mark_for_the_prompt_cache_makes_no_other_conversation():
    """pi marks the newest message, first as a part with a mark, later as plain text: still the same conversation."""
    marked = [{"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}]
    plain = [{"type": "text", "text": "hi"}]
    assert opening([Message("user", raw(marked))]) == opening([Message("user", raw(plain))])
    assert opening([Message("user", raw(marked))]) == opening([Message("user", raw("hi"))])
    image = [{"type": "image", "source": {}}, {"type": "text", "text": "hi"}]
    assert opening([Message("user", raw(image))]) != opening([Message("user", raw("hi"))])
