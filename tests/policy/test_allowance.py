"""Rate-limit headers, restated for clients of the other vendor."""

from twospeed.policy.allowance import restated, without_limits

OPENAI = [
    (b"x-ratelimit-limit-requests", b"60"),
    (b"x-ratelimit-remaining-requests", b"59"),
    (b"x-ratelimit-reset-requests", b"6m0s"),
    (b"retry-after", b"1"),
]
ANTHROPIC = [
    (b"anthropic-ratelimit-tokens-limit", b"1000"),
    (b"anthropic-ratelimit-tokens-remaining", b"900"),
    (b"anthropic-ratelimit-tokens-reset", b"1970-01-01T00:01:40Z"),
    (b"anthropic-ratelimit-input-tokens-remaining", b"800"),
    (b"anthropic-ratelimit-input-tokens-reset", b"1970-01-01T00:01:40Z"),
]


def test_openais_words_for_anthropics_clients():
    """A span becomes an instant."""
    assert restated(OPENAI, True, 100.0) == [
        (b"anthropic-ratelimit-requests-limit", b"60"),
        (b"anthropic-ratelimit-requests-remaining", b"59"),
        (b"anthropic-ratelimit-requests-reset", b"1970-01-01T00:07:40Z"),
    ]


def test_anthropics_words_for_openais_clients():
    """An instant becomes a span; input and output apart have no word there."""
    assert restated(ANTHROPIC, False, 40.0) == [
        (b"x-ratelimit-limit-tokens", b"1000"),
        (b"x-ratelimit-remaining-tokens", b"900"),
        (b"x-ratelimit-reset-tokens", b"60s"),
    ]


def test_the_providers_own_words_go():
    """What was restated is not said twice."""
    assert without_limits([*OPENAI, *ANTHROPIC]) == [(b"retry-after", b"1")]
