"""Which proxy of the house leads to a provider: by the provider's own setting, else as HTTPS_PROXY, HTTP_PROXY, NO_PROXY say.

Source: the conventions of curl and of Go's httpproxy package. Like the latter, this machine is never asked through a proxy that
only the environment names.
"""

from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

import msgspec

_PORTS = {"http": 80, "https": 443}


class Ways(msgspec.Struct, frozen=True):
    """What the environment says: a proxy for each scheme, "" for none, and who is reached without one, comma-separated."""

    https: str = ""
    http: str = ""
    without: str = ""


def way(base_url: str, ways: Ways) -> str:
    """Return the proxy that leads to an address, "" for none.

    >>> ways = Ways(https="http://proxy:3128", without="internal.example,10.0.0.0/8")
    >>> [way(url, ways) for url in ("https://api.example", "http://api.example", "https://m.internal.example", "https://10.1.2.3")]
    ['http://proxy:3128', '', '', '']
    """
    url = urlsplit(base_url)
    proxy = ways.https if url.scheme == "https" else ways.http
    host = (url.hostname or "").rstrip(".")
    if not proxy or _this_machine(host):
        return ""
    port = url.port or _PORTS[url.scheme]
    exempt = any(_covers(entry.strip().lower(), host, port) for entry in ways.without.split(","))
    return "" if exempt else proxy


def _covers(entry: str, host: str, port: int) -> bool:
    """Say whether one entry of NO_PROXY names a host: itself, its domain, its network, or `*`; with a port, only that.

    >>> [_covers(entry, "a.b.example", 443) for entry in ("b.example", ".b.example", "*.b.example", "a.b.example:80", "x.example")]
    [True, True, True, False, False]
    """
    if entry == "*":
        return True
    name, own_port = _parted(entry)
    if not name or own_port not in (None, port):
        return False
    try:
        address = ip_address(host)
    except ValueError:
        name = name.removeprefix("*").removeprefix(".")
        return host == name or host.endswith("." + name)
    try:
        return address in ip_network(name, strict=False)
    except ValueError:
        return False


def _parted(entry: str) -> tuple[str, int | None]:
    """Take a port off an entry; an IPv6 address has colons of its own."""
    if entry.startswith("["):
        name, _, rest = entry[1:].partition("]")
        return name, int(rest[1:]) if rest[1:].isdigit() else None
    name, colon, port = entry.rpartition(":")
    return (name, int(port)) if colon and ":" not in name and port.isdigit() else (entry, None)


def _this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
