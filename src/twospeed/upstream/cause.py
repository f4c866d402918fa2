"""Why a connection failed, in words for operators: the errors of the operating system and of TLS, without addresses."""

import os
import socket
import ssl


def cause(error: BaseException | None) -> str:
    """Say what went wrong. None: the peer ended the connection in good order.

    >>> cause(ConnectionRefusedError(111, "Connect call failed ('10.0.0.1', 80)"))
    'connection refused'
    >>> cause(None)
    'connection closed'
    """
    if error is None:
        return "connection closed"
    if isinstance(error, ssl.SSLError):  # verify_message and reason are there only where OpenSSL gave them
        reason = getattr(error, "verify_message", None) or getattr(error, "reason", None) or "TLS protocol error"
        return str(reason).replace("_", " ")
    if isinstance(error, socket.gaierror):
        return (error.strerror or "unknown name").lower()
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower()
    if isinstance(error, ConnectionError):
        return "connection closed"  # during a handshake
    return type(error).__name__
