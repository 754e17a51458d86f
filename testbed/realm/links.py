"""Interfaces, addresses and routes, by netlink, always in the network namespace that the calling thread is in."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pyroute2 import IPRoute
from pyroute2.ethtool.ioctl import IoctlEthtool

QUEUE_LENGTH = 10000
"""txqueuelen of every interface, in packets: a burst must not be lost before it reaches the gateway."""
OFFLOADS = (
    "tx-checksumming",
    "tcp-segmentation-offload",
    "generic-segmentation-offload",
    "generic-receive-offload",
)
"""Off on every interface: packets are on the wire as a queue, a raw socket or a capture shall see them."""
CLONE_NEWNET = 0x40000000
"""For setns(2) and unshare(2): network namespaces."""
MS_BIND, MS_REC, MS_SHARED = 0x1000, 0x4000, 0x100000
"""For mount(2)."""
IFA_F_NODAD = 0x02
"""Of linux/if_addr.h: an address of IPv6 is there at once, without asking who else has it."""


def make_namespace(path: Path) -> None:
    """Makes a network namespace with a name, in this very thread: if we are killed, nobody goes on making it.

    Args:
        path: The file that shall stand for it, in a folder that `ip netns` looks into.

    Raises:
        FileExistsError: The name is taken.
        OSError: We may not.
    """
    _share(path.parent)
    path.touch(mode=0o444, exist_ok=False)
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _system("unshare", CLONE_NEWNET)
        try:
            _system("mount", b"/proc/thread-self/ns/net", os.fsencode(path), None, MS_BIND, None)
        finally:
            _system("setns", before, CLONE_NEWNET)
    finally:
        os.close(before)


@contextlib.contextmanager
def inside(entrance: int) -> Iterator[None]:
    """Puts the calling thread into a namespace, and back in the end.

    Args:
        entrance: An open file of the namespace.

    Raises:
        OSError: The thread may not, or that is no namespace.
    """
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _system("setns", entrance, CLONE_NEWNET)
        try:
            yield
        finally:
            _system("setns", before, CLONE_NEWNET)
    finally:
        os.close(before)


def enter(entrance: int) -> None:
    """Puts the calling thread into a namespace for good.

    Args:
        entrance: An open file of the namespace.

    Raises:
        OSError: The thread may not, or that is no namespace.
    """
    _system("setns", entrance, CLONE_NEWNET)


def set_parameters(parameters: Mapping[str, str]) -> None:
    """Writes kernel parameters; those of a protocol that the kernel lacks are left out.

    Args:
        parameters: Path below /proc/sys/net -> value.
    """
    for name, value in parameters.items():
        path = Path("/proc/sys/net", name)
        if path.exists():
            path.write_text(value)


def connect(interface: str, peer: str, there: str) -> None:
    """Makes a veth pair, both ends still down.

    Args:
        interface: Our end.
        peer: The other end.
        there: Name of the namespace that gets the other end.
    """
    far = {"ifname": peer, "txqlen": QUEUE_LENGTH, "net_ns_fd": there}
    with IPRoute() as links:
        links.link("add", kind="veth", ifname=interface, txqlen=QUEUE_LENGTH, peer=far)


def bring_up(interface: str) -> None:
    """Sets an interface up.

    Args:
        interface: Its name.
    """
    with IPRoute() as links:
        links.link("set", index=links.link_lookup(ifname=interface)[0], state="up")


def switch_offloads_off(interface: str) -> None:
    """Switches `OFFLOADS` off.

    Args:
        interface: Its name.
    """
    control = IoctlEthtool(interface)
    try:
        for offload in OFFLOADS:
            control.set_offload_flag(offload, 0)
    finally:
        control.close()


def add_addresses(interface: str, addresses: Sequence[str], length: int) -> None:
    """Gives addresses to an interface.

    Args:
        interface: Its name.
        addresses: Which; the first is the one that packets usually leave from.
        length: Their prefix length.
    """
    with IPRoute() as links:
        index = links.link_lookup(ifname=interface)[0]
        for address in reversed(addresses) if ":" in addresses[0] else addresses:  # IPv6 prefers the latest
            flags = {"flags": IFA_F_NODAD} if ":" in address else {}
            links.addr("add", index=index, address=address, prefixlen=length, **flags)


def add_routes(routes: Mapping[str, str]) -> None:
    """Adds routes.

    Args:
        routes: Prefix, or `default`, -> next hop.
    """
    with IPRoute() as links:
        for network, gateway in routes.items():
            family = socket.AF_INET6 if ":" in gateway else socket.AF_INET
            links.route("add", family=family, dst=network, gateway=gateway)


def _share(folder: Path) -> None:
    """Makes the folder of the names a shared mount, as `ip netns` does: they come and go in every mount namespace."""
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    name = os.fsencode(folder)
    try:
        _system("mount", b"", name, b"none", MS_SHARED | MS_REC, None)
    except OSError:  # it is no mount yet
        _system("mount", name, name, b"none", MS_BIND | MS_REC, None)
        _system("mount", b"", name, b"none", MS_SHARED | MS_REC, None)


def _system(call: str, *arguments: object) -> None:
    """A system call that Python does not offer (in all its versions).

    Raises:
        OSError: It failed.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, call)(*arguments) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{call}: {os.strerror(error)}")
