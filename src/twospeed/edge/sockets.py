"""Listening sockets, made before whoever serves them is loaded: a client that comes early waits, it is not refused.

And sockets that only hold a port for several processes to listen on.
"""

import socket

BACKLOG = 256


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens; of a name with several addresses on one, IPv4 where there is one. Raises: OSError."""
    sock = _bound(host, port, socket.SO_REUSEADDR)
    try:
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    sock.setblocking(False)
    return sock


def reserved(host: str, port: int) -> socket.socket:
    """Return a socket that holds a port, 0 takes a free one, for processes that listen on it with SO_REUSEPORT.

    It never listens itself, so the kernel gives it no connection. Raises: OSError, also when others share the port.
    """
    if port:
        _bound(host, port, socket.SO_REUSEADDR).close()
    return _bound(host, port, socket.SO_REUSEADDR, socket.SO_REUSEPORT)


def _bound(host: str, port: int, *options: int) -> socket.socket:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    sock = socket.socket(family, kind, protocol)
    try:
        for option in options:
            sock.setsockopt(socket.SOL_SOCKET, option, 1)
        sock.bind(address)
    except BaseException:
        sock.close()
        raise
    return sock
