"""What the kernel answers by netlink, as the tests of several modules make it up."""

from __future__ import annotations

import struct

from realmgw.datapath.netlink import codec


def done(sequence: int, error: int = 0, flags: int = 0) -> bytes:
    """The end of a listing."""
    return codec.message(codec.DONE, flags, sequence, struct.pack("=i", -error))


def refusal(sequence: int, error: int) -> bytes:
    """An error, or with 0 an acknowledgement."""
    return codec.message(codec.ERROR, 0, sequence, struct.pack("=i", -error) + bytes(16))


def only(received: bytes) -> codec.Message:
    """The message that is in this."""
    [message] = codec.messages(received)
    return message


class AnsweringChannel:
    """A netlink socket that gives what it was told to, one after the other.

    Attributes:
        sent: What was sent.
        reads: What is given still, or raised; when there is nothing left the kernel does not answer in time.
        is_closed: It was given back.
    """

    def __init__(self, *reads: bytes | OSError) -> None:
        """Gives these."""
        self.sent: list[bytes] = []
        self.reads = list(reads)
        self.is_closed = False

    def send(self, data: bytes) -> int:
        """Keep it."""
        self.sent.append(data)
        return len(data)

    def recv(self, size: int) -> bytes:
        """The next one, of which there is no more than is wanted."""
        if not self.reads:
            raise TimeoutError("timed out")
        given = self.reads.pop(0)
        if isinstance(given, OSError):
            raise given
        return given[:size]

    def close(self) -> None:
        """Give it back."""
        self.is_closed = True
