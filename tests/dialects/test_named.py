"""Who an answer says it is."""

import pytest

from twospeed.dialects.named import LONGEST, named


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (b'{"id": "chatcmpl-1", "model": "m", "choices": []}', ("chatcmpl-1", "m")),
        (b'event: response.created\ndata: {"type":"x","response":{"id":"resp_1","model":"m"}}', ("resp_1", "m")),
        (b'data: {"type":"message_start","message":{"model":"m","id":"msg_1"}}', ("msg_1", "m")),
        (b'{"id": 7, "model": null, "x": "y"}', ("", "")),
        (b'{"text": "say \\"model\\": \\"no\\""}', ("", "")),
        (b'{"id": "a\\u0062"}', ("", "")),
        (b'{"id"', ("", "")),
        (b'data: x, "id": ', ("", "")),
        (b"", ("", "")),
    ],
)
def test_each_api_names_its_answer_and_model(said: bytes, found: tuple[str, str]):
    """Wherever they stand; what is no plain text is nobody's name."""
    assert named(said) == found


def test_names_are_bounded():
    """A provider cannot fill a trace with a name."""
    assert len(named(b'{"id":"' + b"a" * 10_000 + b'"}')[0]) == LONGEST
