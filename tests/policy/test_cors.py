"""Web pages as clients."""

import pytest

from twospeed.policy.cors import preflight, stranger, welcome

PAGE = {b"origin": b"https://chat.example"}


def test_off_by_default():
    """No page reads anything, and no header tells of it."""
    assert welcome((), PAGE) == ()


@pytest.mark.parametrize(("origins", "shown"), [({b"https://chat.example"}, b"https://chat.example"), ({b"*"}, b"*")])
def test_a_page_that_was_let_in(origins: set[bytes], shown: bytes):
    """It hears its own origin, and caches are told that others hear something else; credentials are never allowed."""
    told = dict(welcome(origins, PAGE))
    assert told[b"access-control-allow-origin"] == shown
    assert told[b"vary"] == b"origin"
    assert b"access-control-allow-credentials" not in told


@pytest.mark.parametrize("origin", [b"https://chat.example.evil", b"http://chat.example", b"null", b""])
def test_origins_are_compared_whole(origin: bytes):
    """Nothing that merely looks alike comes in."""
    assert welcome({b"https://chat.example"}, {b"origin": origin}) == ()


def test_preflight_repeats_only_names():
    """The headers asked for are allowed, unless they are no names at all."""
    assert (
        dict(preflight({b"access-control-request-headers": b"authorization, content-type"}))[
            b"access-control-allow-headers"
        ]
        == b"authorization, content-type"
    )
    assert b"access-control-allow-headers" not in dict(preflight({b"access-control-request-headers": b"a\tb: c"}))


def test_who_is_a_stranger():
    """A page of the web that nobody let in; not a program, not an extension, not a page that was let in."""
    assert stranger((), PAGE)
    assert not stranger({b"https://chat.example"}, PAGE)
    assert not stranger((), {b"origin": b"chrome-extension://abc"})
    assert not stranger((), {})
