"""Stores: what is remembered between requests, and where it is kept."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from twospeed.types import Settings
from twospeed.units import PositiveCount, PositiveDuration

SCHEMES = ("redis://", "rediss://", "unix://")


def _address(text: str) -> str:
    if text.startswith(("env:", "file:")):
        return text
    if not text.startswith(SCHEMES):
        raise ValueError("expected redis://, rediss:// or unix://, or a reference env:NAME or file:PATH")
    if "@" in text or "password=" in text:
        raise ValueError("an address with a password in plain text is refused: write env:NAME or file:PATH")
    try:
        urlsplit(text).port  # noqa: B018 -- says no to what is none
    except ValueError:
        raise ValueError("the port is to be a number from 0 to 65535") from None
    return text


class RedisStore(Settings):
    """`stores.redis`: limits, breakers and sessions shared by all replicas. Left out: each host keeps its own."""

    url: Annotated[str, AfterValidator(_address)]
    """Where Redis is: redis://host:6379/0, rediss:// for TLS, unix:///path; env:NAME or file:PATH when it holds a
    password. Options of redis-py may follow as ?name=value."""
    sentinels: list[Annotated[str, Field(pattern=r"^[^/@\s]+:\d+$")]] = []
    """Sentinels as host:port; they name the master, and `url` then only says user, password and database."""
    service: str = "mymaster"
    """What the Sentinels call the master."""
    cluster: bool = False
    """Whether `url` is a node of a Redis Cluster."""
    timeout: PositiveDuration = 0.05
    """How long one call may take; after three failures in a row each process keeps to its share of the limits."""
    replicas: PositiveCount | None = None
    """How many replicas of the proxy share the limits when Redis is away; default: as many as were last seen."""
    prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,40}$")] = "twospeed"
    """What all keys begin with."""
