"""Asking for usage: what a stream's options become, and that nothing else of a body does."""

import json

import pytest

from twospeed.dialects.stream_options import asking, with_usage


@pytest.mark.parametrize(
    ("body", "given"),
    [
        (b'{"model": "a", "x": 1.0}', False),
        (b'{"x": 1.0, "model":"a"}', False),
        (b'{"model": "a", "stream_options": null, "x": 1.0}', True),
        (b'{"stream_options": {"include_usage": false}, "x": 1.0, "model": "a"}', True),
        (b'{"stream_options": 1, "x": 1.0, "model": "a", "stream_options": {}}', True),
    ],
)
def test_usage_is_asked_for_and_the_rest_stays(body: bytes, given: bool):
    """Wherever the options stand, before the model or behind it, once or twice."""
    at = body.index(b'"a"')
    asked = asking(body, (at, at + 3), b'"other"', given)
    assert json.loads(asked) == {"model": "other", "x": 1.0, "stream_options": {"include_usage": True}}
    assert b'"x": 1.0' in asked


@pytest.mark.parametrize(
    ("options", "asked"),
    [(b"null", {}), (b"{}", {}), (b'{"include_usage": false, "odd": [1.50]}', {"odd": [1.5]})],
)
def test_other_options_are_kept(options: bytes, asked: dict[str, object]):
    """What a client asked for besides is its own business."""
    assert json.loads(with_usage(options)) == {**asked, "include_usage": True}
