"""What a provider's headers say about waiting."""

import pytest

from twospeed.upstream.faults import retry_after


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ([(b"retry-after", b"7")], 7.0),
        ([(b"retry-after-ms", b"250"), (b"retry-after", b"1")], 0.25),
        ([(b"retry-after", b"1.5")], 1.5),
        ([(b"retry-after", b"soon")], None),
        ([(b"retry-after", b"-3")], None),
        ([], None),
    ],
)
def test_retry_after(headers: list[tuple[bytes, bytes]], seconds: float | None):
    """Milliseconds are more exact than seconds; what cannot be read says nothing."""
    assert retry_after(headers) == seconds
