"""What the engine says about a bug in the app it serves."""

import logging

from twospeed.edge.app import reported
from twospeed.errors import Kind


def _stumble(secret: str) -> None:
    raise KeyError(secret)


def test_a_bug_is_logged_once_without_contents(caplog):
    """The log says what went wrong and where, never with which values."""
    value = "-".join(("sk", "secret"))  # so that the line itself, which is logged, does not hold it
    try:
        _stumble(value)
    except KeyError as bug:
        fault = reported(bug)
    assert fault.kind is Kind.INTERNAL
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "KeyError" in caplog.text
    assert "_stumble" in caplog.text
    assert value not in caplog.text + fault.message + fault.detail
