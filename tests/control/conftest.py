"""One host with a rollout in its file."""

import pytest
from tests.control.driven import Host


@pytest.fixture
async def host() -> Host:
    """It has looked twice, so that it leads and knows its file."""
    one = Host()
    await one.look()
    await one.look()
    return one
