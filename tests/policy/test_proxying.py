"""Which proxy leads where."""

import pytest

from twospeed.policy.proxying import Ways, way

HTTPS, HTTP = "http://secure-proxy:3128", "http://plain-proxy:3128"


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("https://api.example/v1", HTTPS),
        ("http://api.example/v1", HTTP),
        ("https://[2001:db8::1]/v1", HTTPS),
        ("https://localhost/v1", ""),
        ("http://127.0.0.1:8000/v1", ""),
        ("http://[::1]:8000/v1", ""),
    ],
)
def test_the_scheme_decides_and_this_machine_is_near(url: str, proxy: str):
    """HTTPS_PROXY is for https, HTTP_PROXY for http; nobody goes out to come back in."""
    assert way(url, Ways(HTTPS, HTTP)) == proxy


@pytest.mark.parametrize(
    ("without", "url", "direct"),
    [
        ("*", "https://api.example", True),
        ("api.example", "https://api.example", True),
        ("API.EXAMPLE", "https://api.example.", True),
        ("example", "https://api.example", True),
        (".example", "https://api.example", True),
        ("*.example", "https://api.example", True),
        ("pi.example", "https://api.example", False),
        ("api.example:443", "https://api.example", True),
        ("api.example:8443", "https://api.example", False),
        ("other, api.example", "https://api.example", True),
        ("10.0.0.0/8", "https://10.9.8.7", True),
        ("10.0.0.0/8", "https://11.9.8.7", False),
        ("10.0.0.0/8", "https://api.example", False),
        ("192.0.2.1", "https://192.0.2.1", True),
        ("2001:db8::/32", "https://[2001:db8::1]", True),
        ("[2001:db8::1]:443", "https://[2001:db8::1]", True),
        ("[2001:db8::1]:1", "https://[2001:db8::1]", False),
        ("api.example", "https://192.0.2.1", False),
        ("", "https://api.example", False),
        (",,", "https://api.example", False),
    ],
)
def test_no_proxy(without: str, url: str, direct: bool):
    """Names, domains, networks and ports are left out, each as the usual tools read them."""
    assert (way(url, Ways(HTTPS, HTTP, without)) == "") is direct


def test_without_an_environment_everything_is_direct():
    """No variable, no proxy."""
    assert way("https://api.example", Ways()) == ""
