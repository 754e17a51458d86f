"""The edge of the datapath: programs, netlink sockets and /proc, each call one plain question or order. It blocks.

A network namespace belongs to a thread: a socket made here is of the namespace of the thread that asks.

Edge: programs, netlink sockets, /proc.
"""

from __future__ import annotations

import fcntl
import shutil
import socket
import struct
import subprocess
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from realmgw.config.settings import Network
from realmgw.datapath import links
from realmgw.datapath.batches import Elements
from realmgw.datapath.elements import STRAYS_KEPT
from realmgw.datapath.filling import Filling, FullError
from realmgw.datapath.links import Route, RouteType
from realmgw.datapath.machine import interfaces, sysctls
from realmgw.datapath.machine.capabilities import Capabilities
from realmgw.datapath.machine.former import NetworkNamespace
from realmgw.datapath.netlink import codec, counters, nftables, routes
from realmgw.datapath.netlink.client import ROUTE, check_strictly, open_socket
from realmgw.datapath.netlink.codec import Channel, RefusedError
from realmgw.datapath.netlink.counters import Count, QueueFigures
from realmgw.datapath.netlink.nftables import INET, IPV4
from realmgw.datapath.netlink.routes import Way
from realmgw.datapath.nft import LIBRARY, Libnftables, Nft, refusal
from realmgw.datapath.translation import mark_table
from realmgw.datapath.watch import placed
from realmgw.datapath.watch.ownership import Tables
from realmgw.errors import PlatformError, RealmGatewayError
from realmgw.system.privileges import held

_PROC_SYS = Path("/proc/sys")
_PROGRAM_TIMEOUT = 60.0  # seconds
_MAIN, _LOCAL = 254, 255  # routing tables
_SCOPE_HOST = 254
QUEUES = Path("/proc/thread-self/net/netfilter/nfnetlink_queue")
"""The kernel's list of packet queues, of the network namespace that this thread is in."""
_NOWHERE, _NOWHERE6 = "240.0.0.1", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"
"""Of the class that nobody has a route for, and of the prefix for documentation."""
_SIOCGIFFLAGS, _IFF_UP, _IFF_RUNNING = 0x8913, 0x1, 0x40
_NFQUEUE_CONFIG = 3 << 8 | 2
_NFQUEUE_PF_UNBIND = 4
_SO_NETNS_COOKIE = 71

Run = Callable[[Sequence[str], str], str]
"""Runs a program with that input, returns its output, raises `RealmGatewayError` with its message when it fails."""


def run_program(arguments: Sequence[str], text: str = "") -> str:
    """Run a program to its end.

    Args:
        arguments: The program and its arguments.
        text: Its standard input.

    Returns:
        Its standard output.

    Raises:
        PlatformError: There is no such program.
        RealmGatewayError: It failed or took more than a minute; the text is what it wrote.
    """
    try:
        done = subprocess.run(  # noqa: S603  # what runs is named in this room, and no shell reads it
            arguments, input=text, capture_output=True, text=True, timeout=_PROGRAM_TIMEOUT, check=False
        )
    except FileNotFoundError as error:
        raise PlatformError(f"the program {arguments[0]} is missing: install it") from error
    except subprocess.TimeoutExpired as error:
        raise RealmGatewayError(f"{' '.join(arguments)} did not end within {_PROGRAM_TIMEOUT:.0f} s") from error
    if done.returncode:
        raise RealmGatewayError(f"{' '.join(arguments)}: {done.stderr.strip() or f'exit status {done.returncode}'}")
    return done.stdout


class NftProgram(Nft):
    """The `nft` program, for machines without the library."""

    def __init__(self, program: str = "nft") -> None:
        self._program = program

    def run(self, commands: str, *, dry: bool = False) -> str:
        try:
            return run_program([self._program, *(["--check"] if dry else []), "-f", "-"], commands)
        except PlatformError:
            raise
        except RealmGatewayError as error:
            raise refusal(str(error).partition("/dev/stdin:")[2] or str(error)) from error

    def close(self) -> None:
        """Nothing is held."""


def open_nft(library: str = LIBRARY, program: str = "nft") -> Nft:
    """The library, or the program where the library is missing.

    Args:
        library: Name of the library.
        program: Name of the program.

    Raises:
        PlatformError: Neither is there.
    """
    try:
        return Libnftables(library)
    except PlatformError as error:
        if shutil.which(program):
            return NftProgram(program)
        raise PlatformError(f"no nftables: {error}; or install nftables for its program {program}") from error


@contextmanager
def route_socket() -> Iterator[IPRoute]:
    """A routing socket whose dumps the kernel filters (a full table has a million routes). Its errors become ours."""
    try:
        with IPRoute(strict_check=True) as channel:
            yield channel
    except NetlinkError as error:
        raise RealmGatewayError(f"netlink: {error}") from error


def networks_of(names: Collection[str]) -> tuple[Network, ...]:
    """The networks that interfaces are in or lead to; none of one that there is not, and never everything.

    Raises:
        RealmGatewayError: The kernel does not tell.
    """
    with route_socket() as channel:
        found = interfaces.addresses(channel)
        there = [name for name in names if name in found]
        behind = [network for name in there for network in interfaces.networks_behind(channel, name)]
    own = [address.network for name in there for address in found[name]]
    return tuple({network for network in (*own, *behind) if network.prefixlen})


def leaves_by(name: str, *, ipv6: bool = False) -> bool:
    """Whether what has no route of its own leaves by the interface of that name; no route is listed for it.

    Raises:
        RealmGatewayError: The kernel does not tell.
    """
    try:
        return _way(_NOWHERE6 if ipv6 else _NOWHERE).interface == socket.if_nametoindex(name)
    except OSError:  # there is no such interface
        return False


def is_own(address: str) -> bool:
    """Whether the kernel takes an address for this machine's.

    Raises:
        RealmGatewayError: It does not tell.
    """
    return _way(address).is_local


def _way(address: str) -> Way:
    with open_socket(ROUTE) as asking:
        try:
            return routes.way(codec.ask(asking, routes.question(address, 1), f"the route to {address}"))
        except RefusedError as error:
            if error.number in routes.NOWHERE:
                return Way(is_local=False, interface=0)
            raise


def is_interface(name: str) -> bool:
    """Whether there is an interface of that name."""
    return link_state(name) != placed.GONE


def link_state(name: str) -> str:
    """What an interface is, in the words of `placed`; it is looked at alone, however many there are."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            answer = fcntl.ioctl(asking.fileno(), _SIOCGIFFLAGS, struct.pack("16s16x", name.encode()))
        except OSError:
            return placed.GONE
    (flags,) = struct.unpack_from("=H", answer, 16)
    if not flags & _IFF_UP:
        return placed.DOWN
    return placed.UP if flags & _IFF_RUNNING else placed.NO_CARRIER


def our_routes() -> frozenset[Route]:
    """The routes that carry our protocol number; of other types than ours there are none.

    Raises:
        RealmGatewayError: The kernel refused.
    """
    families = (routes.AF_INET, *([routes.AF_INET6] if has_ipv6() else []))
    with open_socket(ROUTE) as asking:
        check_strictly(asking)
        return frozenset(chain.from_iterable(_our_routes(asking, family) for family in families))


def _our_routes(asking: Channel, family: int) -> frozenset[Route]:
    request = routes.listing(family, family)
    return codec.undisturbed(lambda: routes.listed(codec.dump(asking, request, "our routes")))


def change_route(channel: IPRoute, verb: str, route: Route) -> str:
    """Add or delete a route of ours.

    Args:
        channel: The routing socket.
        verb: `add` or `del`.
        route: The route.

    Returns:
        What was done, in words.

    Raises:
        PlatformError: The kernel refused, most likely since somebody else has a route for that prefix.
    """
    fields: dict[str, object] = {"dst": str(route.network), "proto": links.PROTOCOL, "type": route.kind.value}
    if route.kind is RouteType.LOCAL:
        (loopback,) = channel.link_lookup(ifname="lo")
        fields |= {"table": _LOCAL, "scope": _SCOPE_HOST, "oif": loopback}
    else:
        fields["table"] = _MAIN
    try:
        channel.route(verb, **fields)
    except NetlinkError as error:
        raise PlatformError(
            f"the {route.kind.name.lower()} route for {route.network} was refused ({error.args[1]}): "
            f"is there another for that prefix (ip route show table all {route.network})?"
        ) from error
    return f"route {'added' if verb == 'add' else 'deleted'}: {route.kind.name.lower()} {route.network}"


def read_sysctl(key: str) -> int | None:
    """A kernel setting's value, None when the kernel does not have it."""
    try:
        return int((_PROC_SYS / key).read_text())
    except FileNotFoundError:
        return None


def following_sysctls(version: int) -> dict[str, int]:
    """The kernel settings that would not be the same if forwarding were switched on and off again (`FOLLOWING`)."""
    conf = _PROC_SYS / f"net/ipv{version}/conf"
    keys = [path / "forwarding" for path in conf.iterdir() if path.name != "all"]
    keys += [conf / "all/accept_redirects"] if version == 4 else []
    found = {str(path.relative_to(_PROC_SYS)): read_sysctl(str(path)) for path in keys}
    return {key: value for key, value in found.items() if value is not None and sysctls.is_lost(key, value)}


def knows_ipv6() -> bool:
    """Whether the kernel has IPv6, switched off or not."""
    return read_sysctl(sysctls.DISABLED6) is not None


def has_ipv6() -> bool:
    """Whether the kernel has IPv6, and it is not switched off."""
    return read_sysctl(sysctls.DISABLED6) == 0


def privileges() -> Capabilities:
    """What this process may do; nothing was tried."""
    return Capabilities(held(), lowest_port=read_sysctl("net/ipv4/ip_unprivileged_port_start") or 0)


def write_sysctl(key: str, value: int) -> str:
    """Set a kernel setting.

    Returns:
        What was done, in words.

    Raises:
        PlatformError: It can not be set from here.
    """
    before = read_sysctl(key)
    try:
        (_PROC_SYS / key).write_text(str(value))
    except OSError as error:
        name = sysctls.dotted(key)
        raise PlatformError(
            f"{name} can not be set ({error.strerror}): set it yourself, sysctl -w {name}={value}"
        ) from error
    return f"{sysctls.dotted(key)} set to {value} (was {before})"


def set_sysctls(values: Mapping[str, int]) -> Iterator[str]:
    """Set what is not so already, in this order, unless the kernel does not have it; what was done, in words.

    Raises:
        PlatformError: As `write_sysctl`.
    """
    for key, value in values.items():
        if read_sysctl(key) not in (None, value):
            yield write_sysctl(key, value)


def standing(table: str) -> Tables:
    """What stands under the names of our tables.

    Args:
        table: The name of the main one.

    Raises:
        RealmGatewayError: The kernel does not tell.
    """
    with open_socket() as channel:
        found = [
            nftables.standing(channel, each, sequence)
            for sequence, each in enumerate(((INET, table), (IPV4, mark_table(table))), 1)
        ]
    return Tables(table, *found)


def network_namespace() -> NetworkNamespace:
    """Where kernel settings that are set now are in force: since which boot, and in which network namespace.

    Raises:
        RealmGatewayError: The kernel does not tell.
    """
    try:
        boot = (_PROC_SYS / "kernel/random/boot_id").read_text().strip()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
            cookie = probe.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, 8)
        return NetworkNamespace(boot, cookie.hex())
    except OSError as error:
        raise RealmGatewayError(f"the network namespace can not be told from others: {error.strerror}") from error


def read_counters(table: str) -> dict[str, Count]:
    """The named counters of a table of family inet; empty when there is no such table.

    Raises:
        RealmGatewayError: The kernel refused, or the ruleset changed all the while.
    """
    request = counters.request(table, 1)
    with open_socket() as channel:
        return codec.undisturbed(lambda: counters.listed(codec.dump(channel, request, "the counters")))


def read_queue(number: int) -> QueueFigures | None:
    """The figures of a packet queue; None when nobody listens at it.

    Raises:
        RealmGatewayError: The kernel does not tell.
    """
    try:
        listing = QUEUES.read_text()
    except OSError as error:
        raise RealmGatewayError(f"the queue's figures can not be read: {error}") from error
    return counters.queue_figures(listing, number)


def queue_socket_works() -> bool:
    """Whether there is nfnetlink_queue: ask for what it grants without doing anything (PF_UNBIND, since Linux 3.8)."""
    command = struct.pack("=HHBxH", 8, 1, _NFQUEUE_PF_UNBIND, socket.htons(socket.AF_INET))
    request = codec.netfilter(_NFQUEUE_CONFIG, codec.REQUEST | codec.ACK, 1, socket.AF_UNSPEC, command)
    try:
        with open_socket() as channel:
            codec.ask(channel, request, "the packet queue")
    except RealmGatewayError:
        return False
    return True


def add_senders(filling: Filling, senders: tuple[Elements, ...]) -> None:
    """Tell the kernel of senders: stray ones, or banned ones.

    Args:
        filling: Access to the elements of the table.
        senders: They; may be nothing.

    Raises:
        RealmGatewayError: It was refused, most likely because the set is full; none of these was added.
    """
    try:
        filling.run(senders)
    except FullError as error:
        raise RealmGatewayError(f"the kernel's set of stray senders is full ({STRAYS_KEPT})") from error
