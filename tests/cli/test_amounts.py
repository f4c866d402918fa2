"""Amounts on the command line: as in the config file, and plain where that is clear."""

import argparse

import pytest

from twospeed.cli.amounts import at_least_one, more_than_zero, seconds, share, sizes


def test_amounts_are_read():
    """With their units, or without where nothing can be mistaken."""
    assert (seconds("300ms"), seconds("3"), seconds("1h")) == (0.3, 3.0, 3600.0)
    assert (share("5%"), share("1"), share("0")) == (0.05, 1.0, 0.0)
    assert (sizes("2KB"), sizes("1KiB,1MB")) == ([2_000], [1_024, 1_000_000])
    assert (more_than_zero("0.5"), at_least_one("7")) == (0.5, 7)


@pytest.mark.parametrize(
    ("read", "text"),
    [
        *[(seconds, text) for text in ("0", "-1", "soon", "5 parsecs", "")],
        *[(share, text) for text in ("101%", "2", "-1", "half")],
        *[(sizes, text) for text in ("big", "2KB,", "0B", "-1KB")],
        *[(more_than_zero, text) for text in ("0", "-1", "inf", "nan", "x")],
        *[(at_least_one, text) for text in ("0", "1.5", "-1", "x")],
    ],
)
def test_what_is_no_amount_is_refused(read, text):
    """With a message of the parser's own kind."""
    with pytest.raises((ValueError, argparse.ArgumentTypeError)):
        read(text)
