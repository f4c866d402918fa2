"""Listener settings."""

import pytest
from pydantic import ValidationError

from twospeed.policy.listen import Admin, Listen
from twospeed.shape import description


def test_defaults_are_the_documented_limits():
    """Without a config file the documented limits hold."""
    listen = Listen()
    assert (listen.host, listen.port) == ("127.0.0.1", 8080)
    assert (listen.head_limit, listen.max_headers, listen.url_limit) == (16 * 1024, 100, 8 * 1024)
    assert (listen.body_limit, listen.head_timeout, listen.body_timeout) == (32_000_000, 10.0, 30.0)
    assert (listen.keep_alive, listen.stall_timeout, listen.drain) == (75.0, 15.0, 120.0)


def test_values_carry_units():
    """Sizes and durations are written with their unit."""
    listen = Listen.model_validate(
        {"body_limit": "64MB", "head_limit": "32KiB", "drain": "5m", "max_connections": "2k"}
    )
    assert (listen.body_limit, listen.head_limit, listen.drain) == (64_000_000, 32_768, 300.0)
    assert listen.max_connections == 2_000


@pytest.mark.parametrize(
    "block",
    [{"port": 65_536}, {"port": -1}, {"drain": 120}, {"head_timeout": "0s"}, {"max_connections": 0}, {"prot": 8080}],
)
def test_nonsense_is_refused(block):
    """A port out of range, a duration without unit, a zero or a misspelt key is an error, not a guess."""
    with pytest.raises(ValidationError):
        Listen.model_validate(block)


def test_every_setting_is_described():
    """Each key has a description, from which the reference is made."""
    assert all(description(Listen, key) for key in Listen.model_fields)


def test_the_admin_listener_stays_on_this_machine():
    """Without a word in the config file the admin listener is for this machine only, and has no key."""
    assert (Admin().host, Admin().port, Admin().key) == ("127.0.0.1", 8081, None)


def test_the_admin_key_is_never_shown():
    """Printing the settings does not print the key."""
    assert "hush" not in repr(Admin(key="hush"))
