"""Listening sockets, made before whoever serves them is loaded: a client that comes early waits, it is not refused."""

import socket

BACKLOG = 256


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens; of a name with several addresses on one, IPv4 where there is one. Raises: OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock
