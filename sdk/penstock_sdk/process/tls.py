"""TLS between a host and a plugin: certificates from files that may change, and certificates for one start.

Both sides prove who they are, and speak TLS 1.3. P-521 keys are refused by name: gRPC's TLS knows none.
"""

from __future__ import annotations

import datetime
import os
import re
import ssl
import sys
from pathlib import Path
from typing import Any, NamedTuple

from penstock_sdk.process.peer import PeerError

__all__ = [
    "OneTime", "TlsFaultError", "TlsFiles", "TlsPems", "one_time_certificate", "only_tls_1_3", "pem_of",
    "reloading_server_credentials",
]  # fmt: skip

_P521 = bytes.fromhex("06052b81040023")
_FIRST_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_SUITES = "GRPC_SSL_CIPHER_SUITES"


class TlsFaultError(PeerError):
    """A certificate or key will not do; the text names the file."""


class TlsPems(NamedTuple):
    """The contents of the three files, PEM."""

    ca: bytes
    cert: bytes
    key: bytes


class TlsFiles(NamedTuple):
    """Paths of PEM files: whom to trust, who we are, our key."""

    ca: str
    cert: str
    key: str

    def read(self) -> TlsPems:
        """Return the files' contents, checked against each other.

        Raises:
            TlsFaultError: a file cannot be read or holds no certificate, the key is another certificate's, or P-521.
        """
        pems = TlsPems(*(_read(name, path) for name, path in zip(self._fields, self, strict=True)))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            context.load_verify_locations(cadata=pems.ca.decode("ascii"))
        except (ssl.SSLError, UnicodeDecodeError, ValueError) as error:
            raise TlsFaultError(f"tls ca {self.ca} met {error}, wanted certificates as PEM") from None
        try:
            context.load_cert_chain(self.cert, self.key, password="")  # a key with a password must not ask for it
        except (ssl.SSLError, OSError, ValueError) as error:
            raise TlsFaultError(
                f"tls cert {self.cert} and key {self.key} met {error}, wanted a certificate as PEM and its own key "
                f"without a password"
            ) from None
        for name, pem in (("ca", pems.ca), ("cert", pems.cert)):
            if any(_P521 in ssl.PEM_cert_to_DER_cert(each) for each in _FIRST_PEM.findall(pem.decode("ascii"))):
                raise TlsFaultError(
                    f"tls {name} {getattr(self, name)} is of curve P-521, which gRPC's TLS refuses; make one of P-256"
                )
        return pems

    def stamp(self) -> tuple[tuple[int, int, int], ...]:
        """Return what changes when a file is replaced or written; a missing file is all zero."""
        stamps = []
        for path in self:
            try:
                status = os.stat(path)
                stamps.append((status.st_mtime_ns, status.st_ino, status.st_size))
            except OSError:
                stamps.append((0, 0, 0))
        return tuple(stamps)


class OneTime(NamedTuple):
    """A self-signed certificate for the name localhost, and its key."""

    cert: bytes
    """PEM."""
    key: bytes
    """PEM, PKCS 8, not encrypted; never written to a file."""
    der: bytes


def one_time_certificate() -> OneTime:
    """Return a new P-256 certificate for one start of a plugin, good for a year.

    Raises:
        TlsFaultError: the package cryptography is not installed.

    Cost: 1 ms.
    """
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
    except ImportError:
        raise TlsFaultError(
            "tls for one start wants the package cryptography, which is not installed; install penstock-sdk[tls], "
            "or do without TLS: the socket lies in a folder that only this user may enter"
        ) from None
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))  # clocks differ between machines
        .not_valid_after(now + datetime.timedelta(days=365))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding
    private = key.private_bytes(encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return OneTime(certificate.public_bytes(encoding.PEM), private, certificate.public_bytes(encoding.DER))


def pem_of(der: bytes) -> bytes:
    """Return a certificate's DER as PEM."""
    return ssl.DER_cert_to_PEM_cert(der).encode()


def only_tls_1_3() -> bool:
    """Import grpc so that this process speaks TLS 1.3 alone; return whether that could still be had.

    gRPC has no setting for it, but takes the suites of TLS 1.2 from the environment, once, as it is imported; with none
    but a suite of shared keys, which nobody here has, only 1.3 is left. The environment is put back for children.
    """
    if "grpc" in sys.modules:
        return False
    before = os.environ.get(_SUITES)
    os.environ[_SUITES] = "ECDHE-PSK-AES256-CBC-SHA"
    try:
        import grpc  # noqa: F401
    finally:
        if before is None:
            del os.environ[_SUITES]
        else:
            os.environ[_SUITES] = before
    return True


def reloading_server_credentials(files: TlsFiles) -> Any:
    """Return server credentials that demand a client's certificate and follow the files as they change.

    They are looked at for each new connection. Files that do not fit each other, as in the middle of a change, are
    passed over: the certificates before them stay in use.

    Raises:
        TlsFaultError: the files will not do now.
    """
    import grpc

    def configuration(pems: TlsPems) -> Any:
        return grpc.ssl_server_certificate_configuration([(pems.key, pems.cert)], pems.ca)

    seen = [files.stamp()]

    def changed() -> Any:
        stamp = files.stamp()
        if stamp == seen[0]:
            return None
        try:
            pems = files.read()
        except TlsFaultError:
            return None
        seen[0] = stamp
        return configuration(pems)

    return grpc.dynamic_ssl_server_credentials(configuration(files.read()), changed, True)


def _read(name: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise TlsFaultError(f"tls {name} {path} cannot be read: {error.strerror}; wanted a PEM file") from None
