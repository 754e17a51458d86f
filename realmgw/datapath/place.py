"""The place of the process whose table is in a network namespace, which no stranger can take or block.

An abstract unix socket belongs to the network namespace, whatever folders a process sees, and ends with the process.
Anybody may bind one of any name, though. So a name here is never wanted for itself: each process binds one of its own,
and then looks at all those that begin alike. Those of strangers do not count: the kernel tells whose a socket is.

Edge: unix sockets, the process.
"""

from __future__ import annotations

import errno
import os
import secrets
import socket
import struct
from collections.abc import Iterable

import attrs

from realmgw.datapath.netlink import codec
from realmgw.datapath.netlink.client import SOCK_DIAG, open_socket
from realmgw.datapath.netlink.codec import Message
from realmgw.errors import PlatformError, RealmGatewayError
from realmgw.system.disk import HeldError

_SOCK_DIAG_BY_FAMILY = 20
_EVERY_STATE = 0xFFFFFFFF
_SHOW_NAME, _SHOW_UID = 0x01, 0x40
_NAME, _UID = 0, 7
"""Attributes of an answer."""
_QUESTION = struct.Struct("=BBHIIIII")  # family, protocol, pad, states, inode, show, cookie
_ANSWER = 16  # octets
"""Before the attributes."""
_USER = struct.Struct("=I")


@attrs.frozen
class Tenant:
    """A kind of process that has a table."""

    program: str
    """What the names of its sockets begin with."""
    called: str
    """What it is, in words."""
    key: str
    """Where its table is written."""
    is_single: bool = False
    """It has routes and settings of the kernel besides, which have no name: there may be one in a network namespace."""


GATEWAY = Tenant("realmgw", "gateway", "datapath.table", is_single=True)


@attrs.frozen
class Named:
    """An abstract unix socket of this network namespace."""

    name: bytes
    """With the zero octet that it begins with."""
    user: int
    """Whose it is."""


class Place:
    """The place of the one process of its kind that has a table in a network namespace.

    Two that try at the very same moment may both be refused.

    Args:
        table: The name of the nftables table.
        tenant: What kind of process that is.
    """

    def __init__(self, table: str, tenant: Tenant = GATEWAY) -> None:
        self._table, self._tenant = table, tenant
        self._prefix = b"\0%s/" % tenant.program.encode()
        self._socket: socket.socket | None = None

    def take(self) -> None:
        """Have it from now on. Never waits for anybody.

        Raises:
            HeldError: Another one has it; the text says which.
            PlatformError: The kernel does not tell whether one has; then it is had all the same.
        """
        name = b"%s%s/%d-%s" % (self._prefix, self._table.encode(), os.getpid(), secrets.token_hex(8).encode())
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            self._socket.bind(name)  # it never listens: there is nothing to connect to
            refusal = self.refusal(name) or next(iter(self.neighbours()), None)
        except OSError as error:
            raise PlatformError(f"it can not be seen who has the table {self._table}: {error.strerror}") from None
        if refusal is not None:
            self.release()
            raise HeldError(refusal)

    def refusal(self, own: bytes = b"") -> str | None:
        """Why it can not be had: a process has it, other than by the socket of the name `own`; None when none has.

        Raises:
            OSError: The kernel does not tell.
        """
        other = self.holder(own)
        if other is None:
            return None
        called, key = self._tenant.called, self._tenant.key
        return (
            f"another {called} has the table {self._table} here already (process {other}): stop it first, or give this"
            f" one another {key}"
        )

    def holder(self, own: bytes = b"") -> str | None:
        """The number of the process that has it, as that process knows itself; as for `refusal`.

        Raises:
            OSError: The kernel does not tell.
        """
        ours = b"%s%s/" % (self._prefix, self._table.encode())
        for each in sockets():
            if each.name.startswith(ours) and each.name != own and each.user in (0, os.geteuid()):
                return each.name[len(ours) :].decode("ascii", "replace").partition("-")[0]
        return None

    def release(self) -> None:
        """Leave it to others; nothing happens where it is not had."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def neighbours(self) -> list[str]:
        """What keeps it from being had besides: gateways that have other tables here, a line each.

        Raises:
            OSError: The kernel does not tell.
        """
        ours, found = self._table.encode(), list[str]()
        for each in sockets() if self._tenant.is_single else ():
            table, slash, process = each.name.removeprefix(self._prefix).partition(b"/")
            if each.name.startswith(self._prefix) and slash and table != ours and each.user in (0, os.geteuid()):
                number = process.partition(b"-")[0]
                who = f"the table {table.decode('ascii', 'replace')} (process {number.decode('ascii', 'replace')})"
                found.append(
                    f"another {self._tenant.called} runs here, with {who}: two in one network namespace would take each"
                    " other's routes and settings of the kernel: give each a network namespace of its own"
                )
        return found


def sockets() -> list[Named]:
    """Every abstract unix socket of this network namespace.

    Raises:
        OSError: The kernel does not tell (CONFIG_UNIX_DIAG).
    """
    asked = _QUESTION.pack(socket.AF_UNIX, 0, 0, _EVERY_STATE, 0, _SHOW_NAME | _SHOW_UID, 0, 0)
    request = codec.message(_SOCK_DIAG_BY_FAMILY, codec.REQUEST | codec.DUMP, 1, asked)
    try:
        with open_socket(SOCK_DIAG) as channel:
            channel.connect((0, 0))
            return codec.undisturbed(lambda: named(codec.dump(channel, request, "unix sockets")))
    except RealmGatewayError as error:
        raise OSError(errno.EIO, str(error)) from error


def named(messages: Iterable[Message]) -> list[Named]:
    """The abstract ones of a listing of sockets.

    Args:
        messages: The answers.

    Raises:
        RealmGatewayError: One is malformed, or as `messages` does.
    """
    listed = (dict(codec.attributes(each.body[_ANSWER:])) for each in messages)
    return [
        Named(found[_NAME], codec.unpack(_USER, found[_UID])[0] if _UID in found else -1)
        for found in listed
        if found.get(_NAME, b"").startswith(b"\0")
    ]
