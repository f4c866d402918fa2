"""TLS from files."""

import ssl

import pytest

from tests.certificates import make_certificates
from twospeed.certificates import Unusable, client, renew, server, wrong
from twospeed.policy.listen import Tls as ListenerTls
from twospeed.upstream import Tls


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Certificates beside a config file, and files that are none."""
    folder = tmp_path_factory.mktemp("certificates")
    make_certificates(folder)
    (folder / "empty.pem").write_text("")
    return folder


def test_a_provider_is_always_verified(folder):
    """The system's authorities, or only those of the operator; name and certificate are checked in both cases."""
    assert client(Tls(), folder) is None
    context = client(Tls(ca="authority.pem", cert="server.pem"), folder)
    assert context is not None
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert len(context.get_ca_certs()) == 1


def test_a_listener_may_ask_its_clients_for_a_certificate(folder):
    """Only where the operator names their authority."""
    assert server(ListenerTls(cert="server.pem"), folder).verify_mode is ssl.CERT_NONE
    asking = server(ListenerTls(cert="server.pem", client_ca="authority.pem"), folder)
    assert asking.verify_mode is ssl.CERT_REQUIRED
    renew(asking, ListenerTls(cert="server.pem"), folder)


@pytest.mark.parametrize(
    ("tls", "key", "why"),
    [
        (Tls(ca="nowhere.pem"), "ca", "cannot be read"),
        (Tls(ca="empty.pem"), "ca", "cannot be used"),
        (Tls(cert="authority.pem"), "cert", "cannot be used"),  # no key in it
        (Tls(cert="nowhere.pem"), "cert", "cannot be read"),
    ],
)
def test_files_that_will_not_do_are_named(folder, tls: Tls, key: str, why: str):
    """The setting at fault and the reason; nothing of the contents."""
    with pytest.raises(Unusable, match=why) as told:
        client(tls, folder)
    assert told.value.key == key


def test_every_file_that_is_not_there_is_named(folder):
    """Both of a pair at once; where all can be read, why they cannot be used."""
    missing = wrong(ListenerTls(cert="no.pem", key="no.key"), folder)
    assert [(error.key, "cannot be read" in str(error)) for error in missing] == [("cert", True), ("key", True)]
    assert [error.key for error in wrong(Tls(ca="authority.pem", cert="authority.pem"), folder)] == ["cert"]
    assert wrong(ListenerTls(cert="server.pem"), folder) == []
