"""A plugin as its host sees it, whatever carries the messages: gRPC, an object in this process, a framed socket."""

from __future__ import annotations

from typing import Protocol

from penstock_sdk.wire.messages import Message

__all__ = ["Peer", "PeerError", "PeerGone", "PeerStream", "PeerTimeout"]


class PeerError(Exception):
    """A plugin did not do what the contract says; the text names what was met and what was wanted."""


class PeerGone(PeerError):  # noqa: N818 - it tells of a state
    """The plugin's process or connection has ended."""


class PeerTimeout(PeerError):  # noqa: N818 - as the field says it
    """No answer within the deadline."""


class PeerStream(Protocol):
    """One of the two streams of batches."""

    def send(self, batch: Message) -> None:
        """Hand over a batch; does not wait for the peer. Raises PeerGone."""

    def receive(self, timeout_s: float) -> Message | None:
        """Return the next batch from the plugin, or None when none came in time. Raises PeerGone at the end."""

    def close(self) -> None:
        """Say that nothing more will be sent."""


class Peer(Protocol):
    """A started plugin, connected. Not safe for threads unless an implementation says so."""

    def call(self, method: str, request: Message, timeout_s: float = 2.0) -> Message:
        """Return the reply to one of `messages.METHODS`.

        Raises:
            PeerTimeout, PeerGone: no answer.
            PeerError: the plugin refused the call; its text.
        """

    def events(self) -> PeerStream:
        """Return the stream Events; open it first if need be."""

    def orders(self) -> PeerStream:
        """Return the stream Orders; open it first if need be."""

    def healthy(self, timeout_s: float = 2.0) -> bool:
        """Return whether the plugin says that it serves."""

    def close(self, grace_s: float = 2.0) -> None:
        """Let the plugin stop: Stop, then SIGTERM, then SIGKILL of its process group. Again is harmless."""
