"""TLS: certificates of one start, or of both sides at an address; 1.3 alone; files that change are followed."""

from __future__ import annotations

import base64
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from penstock_sdk.process import handshake
from penstock_sdk.process.engine_lanes import RESUME
from penstock_sdk.process.grpc_peer import connect_peer, spawn_peer
from penstock_sdk.process.handshake import Output
from penstock_sdk.process.peer import PeerError
from penstock_sdk.process.tls import TlsFaultError, TlsFiles, one_time_certificate
from penstock_sdk.wire.messages import ConfigureRequest, DescribeRequest, Instance
from sdk.tests import grpc_toys as toys

WAIT_S = 20.0
ECDSA = trustme.KeyType.ECDSA  # trustme's are of P-256


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA(key_type=ECDSA)


def written(folder: Path, ca: trustme.CA, trusted: trustme.CA | None = None) -> TlsFiles:
    """Write a certificate of *ca*'s, its key and whom it trusts; return their paths. What is there is replaced."""
    folder.mkdir(exist_ok=True)
    issued = ca.issue_cert("localhost", "127.0.0.1", key_type=ECDSA)
    files = TlsFiles(*(str(folder / name) for name in ("ca.pem", "cert.pem", "key.pem")))
    contents = (
        (trusted or ca).cert_pem.bytes(),
        b"".join(pem.bytes() for pem in issued.cert_chain_pems),
        issued.private_key_pem.bytes(),
    )
    for path, content in zip(files, contents, strict=True):
        Path(path + ".new").write_bytes(content)
        os.replace(path + ".new", path)
    return files


class Served:
    """A toy that serves at an address, in a process."""

    def __init__(self, *arguments: str) -> None:
        argv = [sys.executable, "-m", "penstock_sdk.process", f"{toys.__file__}:Echo", "--listen", "127.0.0.1:0"]
        self.process = subprocess.Popen([*argv, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert self.process.stdout is not None
        self.first = self.process.stdout.readline().decode()
        self.output = Output(self.process.stdout, None)

    @property
    def address(self) -> str:
        assert "serves at 127.0.0.1:" in self.first, self.first
        return self.first.split(" at ")[1].strip()

    def close(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(WAIT_S)
        finally:
            self.process.kill()
            self.process.wait()
            self.output.join(WAIT_S)


def flags(files: TlsFiles) -> list[str]:
    return ["--tls-ca", files.ca, "--tls-cert", files.cert, "--tls-key", files.key]


@pytest.fixture(scope="module")
def served(ca: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Path]]:
    """A plugin behind certificates, and the folder of its files."""
    folder = tmp_path_factory.mktemp("server")
    server = Served(*flags(written(folder, ca)))
    yield server, folder
    server.close()
    assert server.process.returncode == 0


def test_a_started_plugin_serves_with_certificates_of_one_start():
    with spawn_peer(toys.ARGV, tls=True, start_s=WAIT_S) as peer:
        assert peer.call("Describe", DescribeRequest(majors=[1]), WAIT_S).id == "echo"
        assert spawn_stranger_is_refused(peer.link.target)


def spawn_stranger_is_refused(target: str) -> bool:
    """Return whether somebody without the host's certificate gets no answer."""
    with socket.socket(socket.AF_UNIX) as raw:
        raw.settimeout(WAIT_S)
        raw.connect(target.removeprefix("unix:"))
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(["h2"])
        try:
            with context.wrap_socket(raw) as wrapped:
                return not wrapped.recv(100)
        except OSError:
            return True


def test_a_plugin_without_a_certificate_is_refused_when_tls_is_wanted():
    with pytest.raises(PeerError, match=r"^plugin answered without a certificate though TLS was asked for"):
        spawn_peer([*toys.ARGV, "says", toys.LINE], tls=True, start_s=WAIT_S)


def test_a_certificate_of_one_start_is_of_p_256_and_named_localhost():
    from cryptography import x509

    one = one_time_certificate()
    certificate = x509.load_der_x509_certificate(one.der)
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp256r1"
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert one_time_certificate().der != one.der


def test_a_plugin_at_an_address_serves_one_host_after_the_other(
    served: tuple[Served, Path], ca: trustme.CA, tmp_path: Path
):
    files = written(tmp_path, ca)
    instance = Instance(name="echo", plugin_id=1)
    seen = set()
    for _ in range(2):
        peer = connect_peer(served[0].address, tls=files, connect_s=WAIT_S)
        described = peer.call("Describe", DescribeRequest(majors=[1]), WAIT_S)
        assert RESUME in described.capabilities
        seen.add(described.incarnation)
        assert not peer.call("Configure", ConfigureRequest(instance=instance), WAIT_S).faults
        peer.close()
    assert len(seen) == 2


def test_who_has_no_certificate_of_the_right_ca_is_refused(served: tuple[Served, Path], ca: trustme.CA, tmp_path: Path):
    stranger = trustme.CA(key_type=ECDSA)
    files = written(tmp_path, stranger, trusted=ca)
    with pytest.raises(PeerError, match="connection to the plugin is gone"):
        connect_peer(served[0].address, tls=files, connect_s=1.0)
    with pytest.raises(PeerError, match="connection to the plugin is gone"):
        connect_peer(served[0].address, tls=None, connect_s=1.0)


def test_a_plugin_that_is_not_who_it_says_is_refused(served: tuple[Served, Path], ca: trustme.CA, tmp_path: Path):
    files = written(tmp_path, ca, trusted=trustme.CA(key_type=ECDSA))
    with pytest.raises(PeerError, match=r"CERTIFICATE_VERIFY_FAILED|certificate"):
        connect_peer(served[0].address, tls=files, connect_s=1.0)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_only_tls_1_3_is_shaken_hands_with(
    served: tuple[Served, Path], ca: trustme.CA, tmp_path: Path, version: ssl.TLSVersion
):
    files = written(tmp_path, ca)
    host, _, port = served[0].address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=WAIT_S) as raw:
        assert shakes_hands(raw, files, version) == ("TLSv1.3" if version is ssl.TLSVersion.TLSv1_3 else "")


def shakes_hands(raw: socket.socket, files: TlsFiles, version: ssl.TLSVersion) -> str:
    """Return the TLS that a client with a good certificate is let in with, which knows none above *version*, or ""."""
    context = ssl.create_default_context(cafile=files.ca)
    context.load_cert_chain(files.cert, files.key)
    context.check_hostname = False
    context.maximum_version = version
    context.set_alpn_protocols(["h2"])
    try:
        with context.wrap_socket(raw) as wrapped:
            return wrapped.version() or ""
    except (ssl.SSLError, ConnectionError):
        return ""


@pytest.mark.parametrize("first", ["", "import grpc; "])
def test_a_plugin_that_imports_grpc_itself_does_not_open_tls_1_2(tmp_path: Path, ca: trustme.CA, first: str):
    plugin = tmp_path / "own.py"
    plugin.write_text(f"{first}from penstock_sdk.plugin import Strategy\n\n\nclass Own(Strategy):\n    pass\n")
    one, own = one_time_certificate(), tmp_path / "host"
    own.write_bytes(one.key)
    (tmp_path / "cert").write_bytes(one.cert)
    environ = {**os.environ, handshake.COOKIE_KEY: handshake.COOKIE_VALUE, handshake.ENV_CLIENT_CERT: one.cert.decode()}
    argv = [sys.executable, "-m", "penstock_sdk.process", str(plugin)]
    with subprocess.Popen(argv, env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline().decode().strip().split("|")
            (tmp_path / "ca").write_bytes(ssl.DER_cert_to_PEM_cert(base64.b64decode(said[5] + "==")).encode())
            files = TlsFiles(str(tmp_path / "ca"), str(tmp_path / "cert"), str(own))
            for version, wanted in ((ssl.TLSVersion.TLSv1_2, ""), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")):
                with socket.socket(socket.AF_UNIX) as raw:
                    raw.settimeout(WAIT_S)
                    raw.connect(said[3])
                    assert shakes_hands(raw, files, version) == wanted
        finally:
            process.terminate()
            process.wait(WAIT_S)


def test_a_host_speaks_to_nobody_who_knows_tls_1_2_alone(ca: trustme.CA, tmp_path: Path):
    files = written(tmp_path, ca)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files.cert, files.key)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2"])
    script = (
        "import os, sys; from penstock_sdk.process.grpc_peer import connect_peer; "
        "from penstock_sdk.process.tls import TlsFiles; assert 'GRPC_SSL_CIPHER_SUITES' not in os.environ; "
        "connect_peer(sys.argv[1], tls=TlsFiles(*sys.argv[2:]), connect_s=3.0)"
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(WAIT_S)
        argv = [sys.executable, "-c", script, f"127.0.0.1:{listener.getsockname()[1]}", *files]
        with subprocess.Popen(argv, stderr=subprocess.PIPE) as host:
            try:
                near, _ = listener.accept()
                near.settimeout(WAIT_S)
                with near, pytest.raises(ssl.SSLError, match="NO_SHARED_CIPHER"):
                    context.wrap_socket(near, server_side=True)
                listener.close()
                assert b"PeerGone" in host.communicate(timeout=WAIT_S)[1]
            finally:
                host.kill()


def test_certificates_are_followed_on_both_sides_without_a_restart(ca: trustme.CA, tmp_path: Path):
    new_ca = trustme.CA(key_type=ECDSA)
    server_files, files = written(tmp_path / "server", ca), written(tmp_path / "host", ca)
    server = Served(*flags(server_files))
    try:
        peer = connect_peer(server.address, tls=files, connect_s=WAIT_S)
        written(tmp_path / "server", new_ca)
        assert peer.healthy(WAIT_S)  # the connection that is there goes on
        with pytest.raises(PeerError):
            connect_peer(server.address, tls=files, connect_s=0.5)
        stale = peer.link._channel
        written(tmp_path / "host", new_ca)
        assert peer.healthy(WAIT_S)  # by a new connection, with the new certificates
        assert peer.link._channel is not stale
        stale.close()
        assert peer.healthy(WAIT_S)
        connect_peer(server.address, tls=files, connect_s=WAIT_S).link.close()
        Path(server_files.key).write_text("half of a key")
        connect_peer(server.address, tls=files, connect_s=WAIT_S).link.close()
        peer.close()
    finally:
        server.close()


def test_files_that_will_not_do_are_refused_by_name(ca: trustme.CA, tmp_path: Path):
    files = written(tmp_path, ca)
    other = written(tmp_path / "other", ca)
    with pytest.raises(
        TlsFaultError, match=r"^tls key /none cannot be read: No such file or directory; wanted a PEM file"
    ):
        files._replace(key="/none").read()
    with pytest.raises(
        TlsFaultError, match=r"^tls cert .*cert.pem and key .*other/key.pem met .*, wanted a certificate"
    ):
        files._replace(key=other.key).read()
    with pytest.raises(TlsFaultError, match=r"^tls ca .*key.pem met .*, wanted certificates as PEM"):
        files._replace(ca=files.key).read()
    assert files.read().cert.startswith(b"-----BEGIN CERTIFICATE-----")
    assert files.stamp() != other.stamp()
    assert files._replace(ca="/none").stamp()[0] == (0, 0, 0)


def test_a_p_521_certificate_is_refused_by_name(tmp_path: Path):
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    key = ec.generate_private_key(ec.SECP521R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1)).sign(key, hashes.SHA512())
    )  # fmt: skip
    encoding = serialization.Encoding.PEM
    pem = certificate.public_bytes(encoding)
    files = TlsFiles(*(str(tmp_path / each) for each in ("ca", "cert", "key")))
    Path(files.ca).write_bytes(pem)
    Path(files.cert).write_bytes(pem)
    Path(files.key).write_bytes(
        key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    with pytest.raises(
        TlsFaultError, match=r"^tls ca .* is of curve P-521, which gRPC's TLS refuses; make one of P-256"
    ):
        files.read()


def test_an_address_open_to_others_wants_certificates_and_all_three():
    for arguments, told in (
        (["--listen", "0.0.0.0:0"], "address 0.0.0.0:0 is open to other machines; wanted --tls-cert"),
        (["--tls-ca", "x"], "met some of --tls-cert, --tls-key and --tls-ca, wanted all three"),
    ):
        server = Served(*arguments)
        assert server.process.wait(WAIT_S) == 2
        assert told in server.first
        server.close()
