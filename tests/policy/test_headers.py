"""Allow-lists for headers, both ways."""

from twospeed.policy.headers import Headers, find, query_to_provider, to_client, to_provider

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
    assert to_provider(dict.fromkeys(NEVER, b"x"), frozenset()) == ()


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
    assert to_provider(sent, frozenset()) == ()


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


def headers(sent: dict[bytes, bytes]) -> Headers:
    """Headers of a head that is expected again."""
    read = Headers()
    read.update(sent)
    read.found = {}
    return read


def test_what_goes_upstream_is_picked_once_for_each_provider():
    """Providers that want other headers get others, from the same head, and each time the same."""
    sent = {b"openai-beta": b"a", b"x-own": b"1", b"x-other": b"2", b"authorization": b"k"}
    read = headers(sent)
    wishes = [frozenset(names) for names in ([], [b"x-own"], [b"x-other"], [b"x-own", b"x-other"])]
    for _ in range(3):
        assert [to_provider(read, wish) for wish in wishes] == [to_provider(sent, wish) for wish in wishes]
    assert to_provider(read, frozenset([b"x-own"])) is to_provider(read, frozenset([b"x-own"]))
    assert read == sent


def test_other_headers_are_picked_from_anew():
    """What was found out about one head says nothing about another, equal names or not."""
    first, second = headers({b"user-agent": b"a"}), headers({b"user-agent": b"b"})
    assert to_provider(first, frozenset()) == ((b"user-agent", b"a"),)
    assert to_provider(second, frozenset()) == ((b"user-agent", b"b"),)


def test_nothing_is_remembered_of_who_asks_once():
    """A stream that lasts for minutes holds its headers, and nothing else about them."""
    read = headers({b"user-agent": b"a"})
    read.found = None
    assert to_provider(read, frozenset()) == ((b"user-agent", b"a"),)
    read.keep("key", "value")
    assert read.found is None


def test_little_is_remembered_about_a_head():
    """A connection that lives through many configurations does not grow."""
    read = headers({b"x-7": b"1", b"x-8": b"2"})
    for number in range(100):
        name = b"x-%d" % number
        assert to_provider(read, frozenset([name])) == tuple(pair for pair in read.items() if pair[0] == name)
        assert len(read.found) <= 8


def test_names_from_providers_are_not_collected():
    """A provider that makes up names is listened to all the same, and nothing grows."""
    for number in range(2_000):
        made_up, limit = b"x-%d" % number, b"x-ratelimit-%d" % number
        assert to_client([(made_up, b"a"), (limit, b"b")]) == [(limit, b"b")]
    long = b"x-ratelimit-" + b"a" * 1_000
    for _ in range(2):
        assert to_client([(long, b"1"), (b"x-request-id", b"2")]) == [(long, b"1"), (b"x-upstream-request-id", b"2")]
