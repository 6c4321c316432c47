"""Messages of the control socket survive any cutting of their bytes; what is no message is refused by name."""

from __future__ import annotations

import socket
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_kernel.control.protocol import (
    REQUEST_BYTES_MAX,
    VERSION,
    AlertsRequest,
    CommandAnswer,
    CommandRequest,
    Frames,
    LimitsRequest,
    ProtocolError,
    Refusal,
    Request,
    StatusRequest,
    TopRequest,
    decode_answer,
    decode_request,
    frame,
    socket_address,
    socket_path,
)

REQUESTS: list[Request] = [
    StatusRequest(),
    TopRequest(period_ms=200),
    AlertsRequest(),
    LimitsRequest(),
    CommandRequest(command="pause", reason="a test – ünd mehr", target="mm_de", request="r1", wait=True),
]


@given(st.lists(st.sampled_from(REQUESTS), max_size=8), st.lists(st.integers(1, 40), min_size=1))
def test_requests_come_out_as_they_went_in_however_their_bytes_are_cut(requests: list[Request], sizes: list[int]):
    data = b"".join(map(frame, requests))
    frames, out, at, turn = Frames(REQUEST_BYTES_MAX), [], 0, 0
    while at < len(data):
        size = sizes[turn % len(sizes)]
        out += [decode_request(body) for body in frames.feed(data[at : at + size])]
        at, turn = at + size, turn + 1
    assert out == requests
    assert len(frames) == 0


@given(st.binary(max_size=200))
def test_bytes_that_are_no_message_are_told_and_no_more_is_held_than_came(data: bytes):
    frames, bodies = Frames(64), []
    refused = False
    try:
        bodies += frames.feed(data)
    except ProtocolError:
        refused = True
    whole = sum(4 + len(body) for body in bodies)
    # What is refused is a length that lies, at the first place that no message explains.
    assert refused == (len(data) - whole >= 4 and not 0 < int.from_bytes(data[whole : whole + 4], "big") <= 64)
    if not refused:
        assert len(frames) + whole == len(data)


def test_a_message_longer_than_the_maximum_is_refused_before_it_has_come():
    with pytest.raises(ProtocolError, match=r"^message of 4294967295 bytes, wanted 1 to 64$"):
        list(Frames(64).feed(b"\xff\xff\xff\xff"))


def test_another_version_is_refused_and_names_both_whatever_else_it_says():
    body = msgspec.json.encode({"is": "teleport", "version": VERSION + 1})
    with pytest.raises(ProtocolError, match=rf"^request of version {VERSION + 1}, this kernel speaks {VERSION}"):
        decode_request(body)


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"is":"command","version":1}', b'{"is":"x","version":1}', b"\xff"])
def test_what_is_no_request_is_refused(body: bytes):
    with pytest.raises(ProtocolError, match=r"^request met .*, wanted a message of version 1"):
        decode_request(body)


@pytest.mark.parametrize(
    "answer", [Refusal(code="denied", text="no"), CommandAnswer(outcome="done", text="paused", seq=3, last_seq=5)]
)
def test_answers_come_out_as_they_went_in(answer: Refusal | CommandAnswer):
    (body,) = Frames(1000).feed(frame(answer))
    assert decode_answer(body) == answer


def test_a_socket_may_lie_deeper_than_the_system_takes(tmp_path: Path):
    run_dir = tmp_path / ("deep" * 30)
    path = socket_path(run_dir)
    path.parent.mkdir(parents=True)
    assert len(str(path)) > 150
    with (
        socket.socket(socket.AF_UNIX) as listener,
        socket.socket(socket.AF_UNIX) as caller,
        socket_address(path) as address,
    ):
        listener.bind(address)
        listener.listen()
        caller.connect(address)
    assert path.is_socket()
