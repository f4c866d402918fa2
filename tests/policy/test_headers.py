"""Allow-lists for headers, both ways."""

from twospeed.policy.headers import find, query_to_provider, to_client, to_provider

NEVER = [
    b"authorization",
    b"x-api-key",
    b"cookie",
    b"forwarded",
    b"x-forwarded-for",
    b"proxy-authorization",
    b"te",
    b"host",
]


def test_credentials_and_hops_never_go_upstream():
    """Whatever a client sends, these end here."""
    assert to_provider(dict.fromkeys(NEVER, b"x"), frozenset()) == []


def test_what_providers_need_goes_upstream():
    """Feature headers, SDK marks and what the provider block adds pass unchanged."""
    sent = {
        b"openai-beta": b"a",
        b"anthropic-beta": b"b,c",
        b"x-stainless-retry-count": b"1",
        b"user-agent": b"cn",
        b"x-own": b"1",
    }
    assert dict(to_provider(sent, frozenset({b"x-own"}))) == sent


def test_nominated_headers_end_here():
    """A header named by Connection belongs to this hop."""
    sent = {b"openai-beta": b"a", b"connection": b"keep-alive, OpenAI-Beta"}
    assert to_provider(sent, frozenset()) == []


def test_framing_and_cookies_do_not_come_back():
    """Only known headers of a provider reach the client."""
    came = [
        (b"content-type", b"a"),
        (b"set-cookie", b"x"),
        (b"transfer-encoding", b"chunked"),
        (b"x-ratelimit-limit-requests", b"5"),
    ]
    assert to_client(came) == [(b"content-type", b"a"), (b"x-ratelimit-limit-requests", b"5")]
    assert find(came, b"set-cookie") == b"x"


def test_of_a_query_only_the_wish_for_the_beta_passes():
    """Claude Code asks for Anthropic's beta API behind the path; whatever else stands there ends here."""
    assert query_to_provider("beta=true", "") == "?beta=true"
    assert query_to_provider("key=secret&beta=true", "?api-version=1") == "?api-version=1&beta=true"
    assert query_to_provider("key=secret", "") == ""
    assert query_to_provider("beta=true", "?beta=true") == "?beta=true"
