"""ICMP echo of both families with a question: who are you? Without it every host's echo looks the same."""

from __future__ import annotations

import struct

PROTOCOL, PROTOCOL6 = 1, 58
"""IP protocol numbers of ICMP and of ICMPv6."""
ECHO_REPLY, ECHO = 0, 8
"""ICMP types (RFC 792)."""
ECHO_REPLY6, ECHO6 = 129, 128
"""ICMPv6 types (RFC 4443). Their checksum has the addresses in it: the kernel fills it in."""
QUESTION = b"who are you?".ljust(32)
"""As the beginning of an echo's payload: a host of the testbed writes its address over it."""

_HEADER = struct.Struct("!BBHHH")  # type, code, checksum, identifier, sequence


def echo(identifier: int, sequence: int, payload: bytes = QUESTION, kind: int = ECHO) -> bytes:
    """An echo request.

    Args:
        identifier: 0 to 65535; a ping socket puts its own there.
        sequence: 0 to 65535.
        payload: What shall come back.
        kind: `ECHO` or `ECHO6`.
    """
    return _message(kind, identifier, sequence, payload)


def reply(request: bytes, address: str) -> bytes | None:
    """The answer to an echo request, saying who answers if that was asked.

    Args:
        request: An ICMP message without IP header.
        address: Who answers.

    Returns:
        None for anything but an echo request.
    """
    kind = {ECHO: ECHO_REPLY, ECHO6: ECHO_REPLY6}.get(request[0]) if len(request) >= _HEADER.size else None
    if kind is None:
        return None
    _, _, _, identifier, sequence = _HEADER.unpack_from(request)
    payload = request[_HEADER.size :]
    if payload.startswith(QUESTION):
        payload = address.encode().ljust(len(QUESTION)) + payload[len(QUESTION) :]
    return _message(kind, identifier, sequence, payload)


def answerer(message: bytes) -> str:
    """Who answered an echo with our question; empty when the message does not say.

    Args:
        message: An ICMP message without IP header.
    """
    payload = message[_HEADER.size :]
    if message[:1] not in (bytes([ECHO_REPLY]), bytes([ECHO_REPLY6])) or payload.startswith(QUESTION):
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
