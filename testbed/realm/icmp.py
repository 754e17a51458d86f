"""ICMP echo with a question: who are you? Without it every host's echo looks the same."""

from __future__ import annotations

import struct

PROTOCOL = 1
"""IP protocol number."""
ECHO_REPLY, ECHO = 0, 8
"""ICMP types (RFC 792)."""
QUESTION = b"who are you?".ljust(32)
"""As the beginning of an echo's payload: a host of the testbed writes its address over it."""

_HEADER = struct.Struct("!BBHHH")  # type, code, checksum, identifier, sequence


def echo(identifier: int, sequence: int, payload: bytes = QUESTION) -> bytes:
    """An echo request.

    Args:
        identifier: 0 to 65535; a ping socket puts its own there.
        sequence: 0 to 65535.
        payload: What shall come back.
    """
    return _message(ECHO, identifier, sequence, payload)


def reply(request: bytes, address: str) -> bytes | None:
    """The answer to an echo request, saying who answers if that was asked.

    Args:
        request: An ICMP message without IP header.
        address: Who answers.

    Returns:
        None for anything but an echo request.
    """
    if len(request) < _HEADER.size or request[0] != ECHO:
        return None
    _, _, _, identifier, sequence = _HEADER.unpack_from(request)
    payload = request[_HEADER.size :]
    if payload.startswith(QUESTION):
        payload = address.encode().ljust(len(QUESTION)) + payload[len(QUESTION) :]
    return _message(ECHO_REPLY, identifier, sequence, payload)


def answerer(message: bytes) -> str:
    """Who answered an echo with our question; empty when the message does not say.

    Args:
        message: An ICMP message without IP header.
    """
    payload = message[_HEADER.size :]
    if message[:1] != bytes([ECHO_REPLY]) or payload.startswith(QUESTION):
        return ""
    return payload[: len(QUESTION)].decode("ascii", "replace").strip()


def _message(kind: int, identifier: int, sequence: int, payload: bytes) -> bytes:
    """An ICMP message with its checksum."""
    unsigned = _HEADER.pack(kind, 0, 0, identifier, sequence) + payload
    return _HEADER.pack(kind, 0, _checksum(unsigned), identifier, sequence) + payload


def _checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    padded = data + bytes(len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
