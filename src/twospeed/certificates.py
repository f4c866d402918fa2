"""TLS from files: whom a provider's connection trusts and who it says it is, and what the listener shows its clients.

Paths are relative to the folder of the config file. Files are read anew at each reload. Certificates are always verified,
and nobody is asked for the password of a key.
"""

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

from twospeed.policy.listen import Tls as ListenerTls
from twospeed.upstream import Tls

FILES = ("ca", "cert", "key", "client_ca")


class Unusable(Exception):
    """A file that cannot be used. `key`: of the settings; the text says why."""

    def __init__(self, key: str, why: str) -> None:
        super().__init__(why)
        self.key = key


def client(tls: Tls, folder: Path) -> ssl.SSLContext | None:
    """Return the context for connections to a provider, None where the usual one will do. Raises: Unusable."""
    if tls.ca is None and tls.cert is None:
        return None
    context = ssl.create_default_context() if tls.ca is None else _trusting(tls.ca, folder)
    if tls.cert is not None:
        _identify(context, tls.cert, tls.key, folder)
    context.set_alpn_protocols(["http/1.1"])
    return context


def server(tls: ListenerTls, folder: Path) -> ssl.SSLContext:
    """Return the context for clients of the listener. Raises: Unusable."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    _identify(context, tls.cert, tls.key, folder)
    if tls.client_ca is not None:
        _load("client_ca", lambda: context.load_verify_locations(folder / str(tls.client_ca)))
        context.verify_mode = ssl.CERT_REQUIRED
    context.set_alpn_protocols(["http/1.1"])
    return context


def renew(context: ssl.SSLContext, tls: ListenerTls, folder: Path) -> None:
    """Show new clients of the listener the certificate that is there now. Raises: Unusable."""
    _identify(context, tls.cert, tls.key, folder)


def wrong(tls: Tls | ListenerTls, folder: Path) -> list[Unusable]:
    """Return what is wrong with the files: with each that cannot be read, else why they cannot be used together."""
    if found := list(_unread(tls, folder)):
        return found
    try:
        server(tls, folder) if isinstance(tls, ListenerTls) else client(tls, folder)
    except Unusable as error:
        return [error]
    return []


def _unread(tls: Tls | ListenerTls, folder: Path) -> Iterator[Unusable]:
    """OpenSSL does not say which of two files it cannot read."""
    for name, file in tls:
        if name in FILES and file is not None:
            try:
                (folder / file).open("rb").close()
            except OSError as error:
                yield Unusable(name, f"cannot be read: {(error.strerror or 'no such file').lower()}")


def _trusting(ca: str, folder: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # name and certificate are checked
    _load("ca", lambda: context.load_verify_locations(folder / ca))
    return context


def _identify(context: ssl.SSLContext, cert: str, key: str | None, folder: Path) -> None:
    private = folder / key if key is not None else None
    _load("cert", lambda: context.load_cert_chain(folder / cert, private, password=lambda: b""))


def _load(key: str, load: Callable[[], None]) -> None:
    try:
        load()
    except ssl.SSLError as error:
        raise Unusable(key, f"cannot be used: {(error.reason or 'not PEM').lower().replace('_', ' ')}") from None
    except OSError as error:
        raise Unusable(key, f"cannot be read: {(error.strerror or 'no such file').lower()}") from None
