"""The clock that every store under test keeps time by."""

import pytest
from tests.stores.contract import Clock


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still."""
    return Clock()
