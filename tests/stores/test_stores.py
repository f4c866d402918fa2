"""Settings of the stores."""

import pytest
from pydantic import ValidationError

from twospeed.stores import RedisStore


@pytest.mark.parametrize(
    "url", ["redis://h:6379/0", "rediss://h", "unix:///run/redis", "env:REDIS_URL", "file:redis.url"]
)
def test_addresses_and_references(url: str):
    """Redis is named by an address without a password, or by a reference to one that may have it."""
    assert RedisStore(url=url).url == url


@pytest.mark.parametrize("url", ["redis://:secret@h", "redis://h?password=secret", "http://h", "h:6379"])
def test_passwords_and_other_things_are_refused(url: str):
    """A password in plain text is refused, and so is what is no address."""
    with pytest.raises(ValidationError):
        RedisStore(url=url)
