"""The start-up line is read and refused by name, whatever a plugin prints; its output becomes log."""

from __future__ import annotations

import base64
import os
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_sdk.events import Severity
from penstock_sdk.process.handshake import (
    HandshakeError,
    LogReader,
    Output,
    StartLine,
    choose_version,
    has_cookie,
    hclog_line,
    host_environment,
    offered_versions,
    parse_start_line,
    start_line,
    wait_start_line,
)


def test_a_line_says_where_the_plugin_serves():
    assert parse_start_line(b"1|1|unix|/tmp/s|grpc|\n") == StartLine(1, "unix", "/tmp/s", b"")
    assert parse_start_line(b"1|3|tcp|127.0.0.1:10003|grpc", [1, 3]) == StartLine(3, "tcp", "127.0.0.1:10003", b"")
    assert parse_start_line(b"1|1|tcp|[::1]:9|grpc||true").target == "[::1]:9"
    assert parse_start_line(b"1|1|unix|/tmp/s|grpc").target == "unix:/tmp/s"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b"hello", r"^start-up line 'hello' met, wanted 1\|VERSION"),
        (b"", r"^start-up line '' met"),
        (b"1|1|unix", r"^start-up line '1\|1\|unix' met"),
        (b"one|1|unix|/s|grpc", r"^start-up line"),
        (b"2|1|unix|/s|grpc", r"^start-up line has core version 2, wanted 1"),
        (b"1|7|unix|/s|grpc", r"^plugin speaks protocol version 7, host offers 1, 2"),
        (b"1|1|unix|/s|netrpc", r"^plugin speaks 'netrpc', wanted grpc"),
        (b"1|1|unix|/s", r"^plugin speaks 'netrpc', wanted grpc"),
        (b"1|1|unix|s|grpc", r"^plugin serves at 'unix' 's', wanted a Unix socket's full path"),
        (b"1|1|tcp|10.0.0.1:80|grpc", r"^plugin serves at 'tcp' '10.0.0.1:80', wanted"),
        (b"1|1|tcp|evil.example:80|grpc", r"^plugin serves at"),
        (b"1|1|tcp|127.0.0.1:http|grpc", r"^plugin serves at"),
        (b"1|1|pipe|/s|grpc", r"^plugin serves at 'pipe'"),
        (b"1|1|unix|/s|grpc|*", r"^start-up line's certificate '\*' is no base64"),
        (b"1|1|unix|/s|grpc|AAAA", r"^start-up line's certificate is no DER"),
    ],
)
def test_any_other_line_is_refused_by_name(line: bytes, told: str):
    with pytest.raises(HandshakeError, match=told):
        parse_start_line(line, [1, 2])


@given(st.binary(max_size=300) | st.from_regex(rb"[0-9]{1,3}\|[0-9]{0,9}\|\w{0,5}\|[^|]{0,30}\|?(grpc)?\|?[^|]{0,40}"))
def test_whatever_the_line_it_is_read_or_refused(line: bytes):
    try:
        read = parse_start_line(line)
    except HandshakeError:
        return
    assert read.version == 1
    assert read.network in ("unix", "tcp")


@given(st.integers(1, 9), st.from_regex(r"/[a-z0-9/]{1,30}", fullmatch=True), st.binary(max_size=100))
def test_what_a_plugin_prints_its_host_reads(version: int, path: str, rest: bytes):
    der = b"\x30" + rest
    line = start_line(version, "unix", path, der)
    assert "=" not in line
    assert parse_start_line(line.encode(), [version]) == StartLine(version, "unix", path, der)


def test_a_certificate_of_p_521_is_refused_before_a_connection_is_tried():
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP521R1()).public_key()  # the part of a certificate that names the curve
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    field = base64.b64encode(der).decode().rstrip("=")
    with pytest.raises(HandshakeError, match=r"^plugin's certificate is of curve P-521, which gRPC's TLS refuses"):
        parse_start_line(f"1|1|unix|/s|grpc|{field}".encode())


def test_the_highest_version_of_both_is_chosen_and_ours_when_there_is_none():
    assert choose_version([1, 2, 3], [1, 2]) == 2
    assert choose_version([7], [1, 2]) == 2
    assert offered_versions({"PLUGIN_PROTOCOL_VERSIONS": "1, 3,x,²,"}) == (1, 3)


def test_the_hosts_environment_bears_the_cookie():
    environment = host_environment([1, 2], b"PEM")
    assert has_cookie(environment)
    assert not has_cookie({})
    assert offered_versions(environment) == (1, 2)
    assert environment["PLUGIN_CLIENT_CERT"] == "PEM"
    assert "PLUGIN_CLIENT_CERT" not in host_environment()


def logged(*lines: bytes) -> list[tuple[str, str]]:
    reader = LogReader()
    return [(Severity(line.severity).name, line.text) for line in map(reader.line, lines)]


def test_hclog_and_plain_lines_become_log():
    line = LogReader().line(b'{"@level":"warn","@message":"slow","@module":"venue","@timestamp":"x","ms":12}\n')
    assert (line.severity, line.text) == (Severity.WARNING, "slow")
    assert line.fields_json == '{"module": "venue", "ms": 12}'
    assert LogReader().line(hclog_line(line).encode()) == line
    assert logged(b"plain\r\n", b"{broken", b'{"a": 1}', b"bell\x07\x1b[2J\xff") == [
        ("INFO", "plain"),
        ("INFO", "{broken"),
        ("INFO", '{"a": 1}'),
        ("INFO", "bell\ufffd\ufffd[2J\ufffd"),
    ]


def test_traces_are_errors_from_their_first_line():
    assert logged(b"panic: nil", b"goroutine 1 [running]:", b'{"@message":"back"}') == [
        ("ERROR", "panic: nil"),
        ("ERROR", "goroutine 1 [running]:"),
        ("INFO", "back"),
    ]
    python = (b"Traceback (most recent call last):", b"  File x", b"ValueError: no", b"after")
    assert [severity for severity, _ in logged(*python)] == ["ERROR", "ERROR", "ERROR", "INFO"]


@given(st.binary(max_size=200) | st.from_regex(rb'\{"@(level|message)": ?.{0,60}\}'))
def test_any_line_becomes_one_line_of_log(raw: bytes):
    line = LogReader().line(raw)
    assert line.SerializeToString()
    assert LogReader().line(hclog_line(line).encode()).text == line.text


@pytest.fixture
def pipe() -> Iterator[tuple[Output, int]]:
    """An Output, and where to write what it reads."""
    read, write = os.pipe()
    output = Output(os.fdopen(read, "rb"), None)
    yield output, write
    with open(write, "wb", closefd=True):
        pass
    output.join(5.0)


def test_noise_before_the_line_is_log_and_the_line_is_found(pipe: tuple[Output, int]):
    output, write = pipe
    os.write(write, b"warming up\n\n1|1|unix|/s|grpc|\nafter\n1|1|late\n")
    assert wait_start_line(output, deadline_s=5.0).address == "/s"
    os.write(write, b"end\n")
    seen = threading.Event()
    output.on_line = lambda line: seen.set() if line.text == "seen" else None
    os.write(write, b"seen\n")
    assert seen.wait(5.0)
    assert [line.text for line in output.lines] == ["warming up", "", "after", "1|1|late", "end", "seen"]


def test_without_a_line_the_error_says_what_came_instead(pipe: tuple[Output, int]):
    output, write = pipe
    os.write(write, b"starting the venue\n")
    with pytest.raises(
        HandshakeError, match=r"^plugin printed no start-up line within 0.1 s; it said: starting the ve"
    ):
        wait_start_line(output, deadline_s=0.1)


def test_a_line_without_end_is_cut_and_held_in_bounded_memory(pipe: tuple[Output, int]):
    output, write = pipe
    sent = 0
    while sent < 1 << 20:
        sent += os.write(write, b"x" * 4096)
    os.write(write, b"\n1|1|unix|/s|grpc|\n")
    assert wait_start_line(output, deadline_s=5.0).version == 1
    assert max(len(line.text) for line in output.lines) == 16 << 10


def test_what_a_go_server_catches_of_its_own_output_is_log():
    output = Output(None, None)
    output.feed(1, b"one\ntw")
    output.feed(2, b"panic: no\n")
    output.feed(1, b"o\n")
    assert [(line.severity, line.text) for line in output.lines] == [(1, "one"), (3, "panic: no"), (1, "two")]
