"""What providers say about waiting and about what is left."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twospeed.policy.advice import LONGEST, Left, remaining, retry_after

NOW = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after": "Tue, 14 Nov 2023 22:13:50 GMT"}, 30.0),
        ({"retry-after": "Tue, 14 Nov 2023 22:13:00 GMT"}, 0.0),
        ({"retry-after": "86400"}, LONGEST),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m0s"}, LONGEST),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "120ms"}, 0.12),
        ({"x-ratelimit-remaining-requests": "3", "x-ratelimit-reset-requests": "1s"}, None),
        (
            {
                "anthropic-ratelimit-input-tokens-remaining": "0",
                "anthropic-ratelimit-input-tokens-reset": "2023-11-14T22:13:25Z",
            },
            5.0,
        ),
        ({}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None):
    """Every form of every provider, capped at five minutes; nonsense says nothing."""
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    assert retry_after(pairs, NOW) == (seconds if seconds is None else pytest.approx(seconds))


def test_what_is_left():
    """Each dimension that says how much and until when."""
    pairs = [
        (b"x-ratelimit-remaining-requests", b"12"),
        (b"x-ratelimit-reset-requests", b"1s"),
        (b"x-ratelimit-remaining-tokens", b"149984"),
        (b"x-ratelimit-reset-tokens", b"6m0s"),
        (b"anthropic-ratelimit-output-tokens-remaining", b"80"),
    ]
    assert remaining(pairs, NOW) == [Left("rpm", 12, 1.0), Left("tpm", 149984, 360.0)]


@given(st.binary(max_size=40))
def test_no_value_is_a_crash(value: bytes):
    """Providers may send anything."""
    wait = retry_after([(b"retry-after", value), (b"x-ratelimit-remaining-tokens", value)], NOW)
    assert wait is None or 0.0 <= wait <= LONGEST
