"""Moves are told to whoever listens."""

from tests.stores.shelves import story

from twospeed.control.feed import WAITING, Feed

MOVE = story()[0]


def test_all_who_listen_hear():
    """Each by itself, and nobody after it has left."""
    feed = Feed()
    with feed.subscribe() as one:
        with feed.subscribe() as other:
            feed.tell(MOVE)
        feed.tell(MOVE)
    feed.tell(MOVE)
    assert (one.qsize(), other.qsize()) == (2, 1)


def test_who_falls_behind_is_cut_off():
    """Memory is bounded; the end is said."""
    feed = Feed()
    with feed.subscribe() as slow:
        for _ in range(WAITING + 10):
            feed.tell(MOVE)
        heard = [slow.get_nowait() for _ in range(slow.qsize())]
    assert heard == [MOVE] * WAITING + [None]
