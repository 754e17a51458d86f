"""Single things of the machine, as a doctor looks at them. Edge: /proc, /sys, sockets, programs, libc."""

from __future__ import annotations

import ctypes
import fcntl
import re
import socket
import struct
from pathlib import Path

from realmgw.datapath.client import run_program
from realmgw.datapath.machine import sysctls
from realmgw.errors import RealmGatewayError

_PROC_SYS = Path("/proc/sys")
_SIOCGIFMTU, _SIOCETHTOOL, _ETHTOOL_GFLAGS, _ETHTOOL_GGRO, _LRO = 0x8921, 0x8946, 0x25, 0x2B, 1 << 15
_TIME_ERROR, _TIMEX = 5, 512  # octets; struct timex has 208
_VERSION = re.compile(r"v(\d+(?:\.\d+)+)")


def numbers(key: str) -> tuple[int, ...] | None:
    """The values of a kernel setting; None where the kernel does not have it, or does not tell."""
    try:
        return tuple(int(word) for word in (_PROC_SYS / key).read_text().split())
    except (OSError, ValueError):
        return None


def conntrack_use() -> dict[str, int]:
    """How many flows conntrack has (`entries`), and how many it may have (`most`); empty where it is not there."""
    count, most = numbers(sysctls.COUNT), numbers(sysctls.MAXIMUM)
    return {"entries": count[0], "most": most[0]} if count and most else {}


def mtu(name: str) -> int | None:
    """The longest packet of an interface, in octets; None where it is not there."""
    answer = _asked(_SIOCGIFMTU, struct.pack("16s16x", name.encode()))
    return None if answer is None else int(struct.unpack_from("=i", answer, 16)[0])


def merges(name: str) -> bool:
    """Whether an interface makes one packet of several (large receive offload), which can not be forwarded."""
    return bool((_offload(name, _ETHTOOL_GFLAGS) or 0) & _LRO)


def groups(name: str) -> bool | None:
    """Whether what an interface receives is grouped (generic receive offload); None where it is not there."""
    value = _offload(name, _ETHTOOL_GGRO)
    return None if value is None else bool(value)


def _offload(name: str, what: int) -> int | None:
    value = ctypes.create_string_buffer(struct.pack("=II", what, 0), 8)
    request = struct.pack("16sP8x", name.encode(), ctypes.addressof(value))
    return None if _asked(_SIOCETHTOOL, request) is None else int(struct.unpack("=II", value.raw)[1])


def _asked(number: int, request: bytes) -> bytes | None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            return fcntl.ioctl(asking.fileno(), number, request)
        except OSError:
            return None


def clock_is_set() -> bool:
    """Whether something keeps the clock right (adjtimex)."""
    state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX))
    return 0 <= int(state) < _TIME_ERROR


def nft_version() -> str | None:
    """What the program nft calls itself; None where it is not there, or says nothing that can be understood."""
    try:
        found = _VERSION.search(run_program(["nft", "--version"]))
    except RealmGatewayError:
        return None
    return found[1] if found else None


def answers(address: str, port: int, question: bytes, timeout: float) -> bool:
    """Whether somebody answers a datagram."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as asking:
        asking.settimeout(timeout)
        try:
            asking.connect((address, port))
            asking.send(question)
            return bool(asking.recv(65535))
        except OSError:
            return False


def listens(address: str, port: int, timeout: float) -> bool:
    """Whether somebody listens for TCP."""
    try:
        socket.create_connection((address, port), timeout).close()
    except OSError:
        return False
    return True
