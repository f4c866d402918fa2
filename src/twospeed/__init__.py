"""A two-tier model router for coding traffic: fast when that is enough, deep when it is not."""

__version__ = "0.1.0"
