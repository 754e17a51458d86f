"""Requests, short to write."""

from __future__ import annotations

from ipaddress import ip_address

from realmgw.synproxy.codec import Key, Operation, Request, TcpOptions

PLAIN, FULL = TcpOptions(536, False, 1), TcpOptions(1460, True, 7)
GATEWAY = "192.0.2.1"
"""Who says it."""
HOST, HOST6 = "203.0.113.5", "2001:db8::5"


def packed(address: str) -> bytes:
    """An address in octets."""
    return ip_address(address).packed


def key(address: str = HOST, port: int = 0, protocol: int = 0) -> Key:
    """A key."""
    return Key(packed(address), port, protocol)


def flush(address: str = "0.0.0.0") -> Request:
    """Forget all, or one address."""
    return Request(Operation.FLUSH, key(address))


def add(where: Key, options: TcpOptions = FULL) -> Request:
    """A new entry."""
    return Request(Operation.ADD, where, options)


def mod(where: Key, options: TcpOptions = FULL) -> Request:
    """An entry, new or not."""
    return Request(Operation.MOD, where, options)


def delete(where: Key) -> Request:
    """No entry."""
    return Request(Operation.DEL, where)
