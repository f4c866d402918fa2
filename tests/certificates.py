"""Certificates for tests, made on the spot from a throw-away key: an authority and a server named `localhost`.

Written out in DER (X.690) because the standard library reads certificates but makes none, and so that neither a
private key lies in the repository nor a tool must be installed. The key comes from a fixed seed: the same every run,
and worth nothing.
"""

import base64
import hashlib
import math
import random
from pathlib import Path

_SEED = 7
_EXPONENT = 65_537
_SHA256_RSA = "1.2.840.113549.1.1.11"
_RSA = "1.2.840.113549.1.1.1"
_TRUE = b"\x01\x01\xff"
_KEY_ID = b"test authority's key"
_SMALL_PRIMES = math.prod(
    number for number in range(3, 3_000) if all(number % d for d in range(2, int(number**0.5) + 1))
)
_DIGEST_INFO = bytes.fromhex("3031300d060960864801650304020105000420")


def make_certificates(folder: Path) -> tuple[Path, Path]:
    """Write an authority's certificate and a server's chain with its key.

    Returns:
        The authority's file, and the server's (key and certificate in one).
    """
    p, q = _primes()
    modulus, secret = p * q, pow(_EXPONENT, -1, math.lcm(p - 1, q - 1))
    key = _sequence(*map(_integer, (0, modulus, _EXPONENT, secret, p, q, secret % (p - 1), secret % (q - 1), pow(q, -1, p))))  # fmt: skip
    may_sign = [
        _extension("2.5.29.19", _sequence(_TRUE), critical=True),  # basicConstraints: an authority
        _extension("2.5.29.15", _tagged(0x03, b"\x01\x06"), critical=True),  # keyUsage: certificates and revocations
        _extension("2.5.29.14", _tagged(0x04, _KEY_ID)),  # subjectKeyIdentifier
    ]
    is_localhost = [
        _extension("2.5.29.17", _sequence(_tagged(0x82, b"localhost"))),  # subjectAltName
        _extension("2.5.29.35", _sequence(_tagged(0x80, _KEY_ID))),  # authorityKeyIdentifier
    ]
    authority = _certificate("test authority", modulus, secret, may_sign)
    server = _certificate("test server", modulus, secret, is_localhost)
    trusted, served = folder / "authority.pem", folder / "server.pem"
    trusted.write_text(_pem("CERTIFICATE", authority))
    served.write_text(_pem("RSA PRIVATE KEY", key) + _pem("CERTIFICATE", server))
    return trusted, served


def _certificate(subject: str, modulus: int, secret: int, extensions: list[bytes]) -> bytes:
    algorithm = _sequence(_oid(_SHA256_RSA), b"\x05\x00")
    public = _sequence(_integer(modulus), _integer(_EXPONENT))
    signed = _sequence(
        _tagged(0xA0, _integer(2)),  # version 3
        _integer(len(subject)),  # serial number, different for the two
        algorithm,
        _name("test authority"),
        _sequence(_tagged(0x17, b"200101000000Z"), _tagged(0x18, b"20991231235959Z")),
        _name(subject),
        _sequence(_sequence(_oid(_RSA), b"\x05\x00"), _tagged(0x03, b"\0" + public)),
        _tagged(0xA3, _sequence(*extensions)),
    )
    return _sequence(signed, algorithm, _tagged(0x03, b"\0" + _sign(signed, modulus, secret)))


def _sign(message: bytes, modulus: int, secret: int) -> bytes:
    size = (modulus.bit_length() + 7) // 8
    digest = _DIGEST_INFO + hashlib.sha256(message).digest()
    padded = b"\x00\x01" + b"\xff" * (size - len(digest) - 3) + b"\x00" + digest
    return pow(int.from_bytes(padded), secret, modulus).to_bytes(size)


def _primes() -> tuple[int, int]:
    chance = random.Random(_SEED)
    found: list[int] = []
    while len(found) < 2:
        candidate = chance.getrandbits(1024) | 1 << 1023 | 1 << 1022 | 1
        if math.gcd(candidate, _SMALL_PRIMES) > 1 or candidate % _EXPONENT == 1:
            continue
        if all(pow(base, candidate - 1, candidate) == 1 for base in (2, 3, 5, 7)):
            found.append(candidate)
    return found[0], found[1]


def _tagged(tag: int, content: bytes) -> bytes:
    size = len(content)
    length = bytes([size]) if size < 128 else (lambda raw: bytes([0x80 | len(raw)]) + raw)(_bytes(size))
    return bytes([tag]) + length + content


def _bytes(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8)


def _sequence(*items: bytes) -> bytes:
    return _tagged(0x30, b"".join(items))


def _integer(number: int) -> bytes:
    return _tagged(0x02, number.to_bytes(number.bit_length() // 8 + 1))


def _oid(dotted: str) -> bytes:
    first, second, *rest = map(int, dotted.split("."))
    content = bytes([first * 40 + second])
    for part in rest:
        digits = [part & 0x7F]
        while part := part >> 7:
            digits.append(part & 0x7F | 0x80)
        content += bytes(reversed(digits))
    return _tagged(0x06, content)


def _name(common: str) -> bytes:
    return _sequence(_tagged(0x31, _sequence(_oid("2.5.4.3"), _tagged(0x0C, common.encode()))))


def _extension(oid: str, value: bytes, critical: bool = False) -> bytes:
    return _sequence(_oid(oid), _TRUE if critical else b"", _tagged(0x04, value))


def _pem(kind: str, der: bytes) -> str:
    lines = base64.encodebytes(der).decode("ascii")
    return f"-----BEGIN {kind}-----\n{lines}-----END {kind}-----\n"
