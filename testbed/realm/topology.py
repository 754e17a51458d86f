"""Builds the testbed: four namespaces, three veth pairs, addresses and routes. docs/testbed.md has a picture of it.

::

    with Testbed(hosts=10) as testbed:
        testbed.run("public", ["ping", "-c1", "100.64.1.130"])
        with testbed.inside("test_gwa"):
            server = socket.create_server(("192.168.0.100", 80))  # stays in that namespace

Every interface lives within a namespace, so several testbeds with different prefixes do not see each other.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from testbed.realm import ipv6, links, owner, reaper

CHECKOUT = Path(__file__).resolve().parents[2]
"""Where the project is."""
NAMESPACES = ("router", "public", "gwa", "test_gwa")
"""Their names, without the prefix."""
ATTACKER = "attacker"
"""The namespace of those who mean no good, where a testbed has one."""

WAN_LINK = 25
"""Prefix length of the link between router and gateway, 100.64.1.128/25."""
ROUTER_WAN = "100.64.1.129"
"""The router on that link: the gateway's default route."""
GATEWAY = "100.64.1.130"
"""The gateway on that link: its name server, and its service pool."""
ON_LINK = ("100.64.1.131", "100.64.1.132", "100.64.1.133")
"""Pool addresses that are part of the WAN link: the gateway answers ARP for them."""
ROUTED = "100.64.2.0/28"
"""A pool prefix that the router has a route for."""
PUBLIC_LINK = 24
"""Prefix length of the link between router and clients, 100.64.3.0/24."""
ROUTER_PUBLIC = "100.64.3.1"
"""The router on that link."""
CLIENT = "100.64.3.10"
"""The first client; further ones follow it."""
ROUTER_ATTACKER = "100.64.4.1"
"""The router on the link to the attackers, 100.64.4.0/24."""
ATTACKERS = ("100.64.4.10", "100.64.4.11")
"""The attackers' own addresses."""
SOURCES = "100.66.0.0/16"
"""Source addresses for generators of raw packets, when asked for: routed to `public`, and owned by nobody."""
LAN = 24
"""Prefix length of the private realm, 192.168.0.0/24."""
GATEWAY_LAN = "192.168.0.1"
"""The gateway on the LAN."""
MAX_HOSTS = 150
"""The private hosts are 192.168.0.100 to .249."""
MAX_CLIENTS = 230
"""The clients are 100.64.3.10 to .239."""
PATIENCE = 20.0 * float(os.environ.get("TESTBED_PATIENCE", "1"))  # seconds
"""How long a program may take to start, to end or to stop. TESTBED_PATIENCE makes it longer on a slow machine."""

QUIET = {
    **ipv6.QUIET,
    "ipv4/conf/all/rp_filter": "0",
    "ipv4/conf/default/rp_filter": "0",
    "ipv4/icmp_ratelimit": "0",
}
"""Kernel parameters of every namespace, below /proc/sys/net. Without the last one, a second refusal told to the same
sender within a second would be kept back by the kernel, and a test could not tell that from silence."""

start_process: Callable[..., subprocess.Popen[bytes]] = subprocess.Popen
"""What starts the processes in the namespaces; `testbed.realm.guest` has something quicker for slow machines."""

P = ParamSpec("P")
R = TypeVar("R")


class TestbedError(Exception):
    """The testbed can not be built, or something in it does not do what it should; the text says what."""


class TakenError(TestbedError):
    """Somebody has a testbed of that prefix."""


def host_address(number: int) -> str:
    """The private address of a host.

    Args:
        number: 0 for the first one.
    """
    return f"192.168.0.{100 + number}"


def client_address(number: int) -> str:
    """The public address of a client.

    Args:
        number: 0 for the first one.
    """
    return f"100.64.3.{10 + number}"


class Testbed:
    """A running testbed, as a context manager.

    Attributes:
        prefix: What the names of its namespaces begin with.
        folder: A folder of its own, for configuration and logs; it goes with the testbed.
        hosts: The private addresses in `test_gwa`, in order.
        clients: The public addresses in `public`, in order.
        hosts6, own6, clients6: The same of IPv6, and the hosts' public ones.
    """

    def __init__(
        self,
        prefix: str = "",
        *,
        hosts: int = 2,
        clients: int = 1,
        routed: Sequence[str] = (ROUTED,),
        sources: Sequence[str] = (),
        resolvers: bool = False,
        attackers: bool = False,
    ) -> None:
        """Plans a testbed; nothing is made before it is entered.

        Args:
            prefix: Put before each namespace's name, so that testbeds can live side by side.
            hosts: How many private hosts, 1 to `MAX_HOSTS`.
            clients: How many public client addresses, 1 to `MAX_CLIENTS`.
            routed: Pool prefixes that the router routes to the gateway, of either family; `ipv6` has some more.
            sources: Networks of either family routed to `public` that nobody owns: raw sockets there may send from
                them, and see the answers.
            resolvers: Whether `ip netns exec` in `public` and `test_gwa` shall resolve names by the gateway.
            attackers: Whether there is a further namespace, `ATTACKER`, with `ATTACKERS` on a link of its own; then
                `sources` are routed to that.

        Raises:
            ValueError: More hosts or clients than there are addresses.
        """
        if not 1 <= hosts <= MAX_HOSTS or not 1 <= clients <= MAX_CLIENTS:
            raise ValueError(f"a testbed has 1 to {MAX_HOSTS} hosts and 1 to {MAX_CLIENTS} clients")
        self.prefix = prefix
        self.folder = folder_of(prefix)
        self.hosts = tuple(host_address(number) for number in range(hosts))
        self.clients = tuple(client_address(number) for number in range(clients))
        self.hosts6, self.own6, self.clients6 = ipv6.addresses(hosts, clients)
        self._routed, self._sources = tuple(routed), tuple(sources)
        self._resolvers = resolvers
        self._namespaces = (*NAMESPACES, ATTACKER) if attackers else NAMESPACES
        self._reaper: subprocess.Popen[bytes] | None = None
        self._entrances: dict[str, int] = {}
        self._logs = 0

    def __enter__(self) -> Testbed:
        """Builds it; what was left over by a process that is gone is removed first.

        Raises:
            TakenError: A testbed of that prefix is there already; it is left alone.
            OSError: The kernel refused something; what was made is removed again.
        """
        self._reaper = _start_reaper()
        try:
            self._build()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Takes it down, with every process in it."""
        self.close()

    def close(self) -> None:
        """Ends every process in the namespaces and removes all that was made; a second call does nothing."""
        self._leave()
        if self._reaper is not None:
            self._reaper.communicate()  # closes the pipe
            self._reaper = None

    def keep(self) -> None:
        """Leaves the testbed as it is, for `take_down`; the object is not usable any more."""
        owner.keep(self.folder)
        self._tell("keep")
        self.close()

    def name(self, namespace: str) -> str:
        """The full name of a namespace, as `ip netns` knows it.

        Args:
            namespace: One of `NAMESPACES`, or `ATTACKER`.
        """
        return self.prefix + namespace

    @contextlib.contextmanager
    def inside(self, namespace: str) -> Iterator[None]:
        """Puts the calling thread into a namespace: sockets and processes made meanwhile stay there.

        Args:
            namespace: One of `NAMESPACES`, or `ATTACKER`.
        """
        with links.inside(self._entrances[namespace]):
            yield

    def call(self, namespace: str, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Calls a function inside a namespace, in the calling thread, and returns what it returns.

        Args:
            namespace: One of `NAMESPACES`, or `ATTACKER`.
            function: What to call.
            args: With what.
            kwargs: With what.
        """
        with self.inside(namespace):
            return function(*args, **kwargs)

    def spawn(self, namespace: str, argv: Sequence[str], *, log: str = "", **popen: Any) -> subprocess.Popen[bytes]:
        """Starts a process inside a namespace; it ends with the testbed at the latest.

        Args:
            namespace: One of `NAMESPACES`, or `ATTACKER`.
            argv: The program and its arguments.
            log: Name of the file in `folder` that gets its output, unless `popen` says otherwise; empty: a name is
                made.
            popen: Anything that `subprocess.Popen` takes. Its input is empty and its environment `environment()` unless
                said here.
        """
        self._logs += 1
        path = self.folder / (log or f"{self._logs:03}-{Path(argv[0]).name}.log")
        with path.open("ab") as output, self.inside(namespace):
            usual = {
                "stdin": subprocess.DEVNULL,
                "stdout": output,
                "stderr": subprocess.STDOUT,
                "env": environment(),
                "start_new_session": True,  # neither Ctrl-C nor the end of the terminal shall reach a kept testbed
            }
            return start_process(list(argv), **{**usual, **popen})

    def run(
        self, namespace: str, argv: Sequence[str], *, timeout: float = PATIENCE
    ) -> subprocess.CompletedProcess[str]:
        """Runs a program inside a namespace to its end and returns its output and exit status, whatever that is.

        Args:
            namespace: One of `NAMESPACES`, or `ATTACKER`.
            argv: The program and its arguments.
            timeout: How long it may take, in seconds.

        Raises:
            subprocess.TimeoutExpired: It took longer, and was killed.
        """
        files = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with self.inside(namespace), start_process(list(argv), **files, env=environment()) as process:
            try:
                output, errors = process.communicate(timeout=timeout)
            except BaseException:
                process.kill()
                raise
        return subprocess.CompletedProcess(list(argv), process.returncode, output.decode(), errors.decode())

    def _build(self) -> None:
        """Makes everything, in the order in which it depends on each other."""
        self._make_folder()
        self._make_namespaces()
        self._connect("router", "gwa", "gwa", "wan0")
        self._connect("router", "public", "public", "eth0")
        self._connect("gwa", "lan0", "test_gwa", "eth0")
        if ATTACKER in self._namespaces:
            self._connect("router", ATTACKER, ATTACKER, "eth0")
            self.call("router", links.add_addresses, ATTACKER, [ROUTER_ATTACKER], PUBLIC_LINK)
            self.call(ATTACKER, links.add_addresses, "eth0", ATTACKERS, PUBLIC_LINK)
            self.call(ATTACKER, links.add_routes, {"default": ROUTER_ATTACKER})
        self._give_addresses()
        self._add_routes()
        ipv6.connect(self, [*self._routed, *ipv6.ROUTES], self._sources, attackers=ATTACKER in self._namespaces)
        self.call("router", links.set_parameters, {"ipv4/ip_forward": "1"})
        self.call("public", links.set_parameters, {"ipv4/ping_group_range": "0 2147483647"})
        if self._resolvers:
            self._resolve_by("public", GATEWAY)
            self._resolve_by("test_gwa", GATEWAY_LAN)

    def _make_namespaces(self) -> None:
        """Makes the namespaces, with quiet kernel parameters and their loopback up."""
        for namespace in self._namespaces:
            name = self.name(namespace)
            self._tell(f"namespace {name}")
            try:
                links.make_namespace(reaper.NAMESPACES / name)
            except FileExistsError:  # since we looked
                self._tell(f"forget {name}")
                raise
            self._entrances[namespace] = os.open(reaper.NAMESPACES / name, os.O_RDONLY | os.O_CLOEXEC)
            self.call(namespace, links.set_parameters, QUIET)
            self.call(namespace, links.bring_up, "lo")

    def _make_folder(self) -> None:
        """Makes the folder, which says from then on that all of this is ours."""
        assert self._reaper is not None
        with owner.vacated(self.folder, [self.name(each) for each in (*NAMESPACES, ATTACKER)]) as taken:
            if taken:
                raise TakenError(taken)
            self._tell(f"path {self.folder}")
            owner.take(self.folder, (os.getpid(), self._reaper.pid))

    def _connect(self, here: str, interface: str, there: str, peer: str) -> None:
        """A veth pair between two namespaces, up at both ends."""
        self.call(here, links.connect, interface, peer, self.name(there))
        for namespace, end in ((here, interface), (there, peer)):
            self.call(namespace, links.switch_offloads_off, end)
            self.call(namespace, links.bring_up, end)

    def _give_addresses(self) -> None:
        """Gives every interface its addresses."""
        self.call("router", links.add_addresses, "gwa", [ROUTER_WAN], WAN_LINK)
        self.call("router", links.add_addresses, "public", [ROUTER_PUBLIC], PUBLIC_LINK)
        self.call("gwa", links.add_addresses, "wan0", [GATEWAY], WAN_LINK)
        self.call("gwa", links.add_addresses, "lan0", [GATEWAY_LAN], LAN)
        self.call("public", links.add_addresses, "eth0", self.clients, PUBLIC_LINK)
        self.call("test_gwa", links.add_addresses, "eth0", self.hosts, LAN)

    def _add_routes(self) -> None:
        """Tells everybody the way, the router also that to the pool and to the sources."""
        senders = ATTACKERS[0] if ATTACKER in self._namespaces else self.clients[0]
        self.call("router", links.add_routes, {net: GATEWAY for net in self._routed if ":" not in net})
        self.call("router", links.add_routes, {net: senders for net in self._sources if ":" not in net})
        self.call("gwa", links.add_routes, {"default": ROUTER_WAN})
        self.call("public", links.add_routes, {"default": ROUTER_PUBLIC})
        self.call("test_gwa", links.add_routes, {"default": GATEWAY_LAN})

    def _resolve_by(self, namespace: str, server: str) -> None:
        """Says which name server `ip netns exec` shall make programs use, by its own convention."""
        folder = reaper.RESOLVERS / self.name(namespace)
        if folder.exists():
            raise TestbedError(f"{folder} is there already and not ours: remove it, or use another prefix")
        self._tell(f"path {folder}")
        folder.mkdir(parents=True)
        (folder / "resolv.conf").write_text(f"nameserver {server}\noptions timeout:1 attempts:3\n")

    def _tell(self, order: str) -> None:
        """Says something to the reaper."""
        assert self._reaper is not None
        assert self._reaper.stdin is not None
        self._reaper.stdin.write(order.encode() + b"\n")
        self._reaper.stdin.flush()

    def _leave(self) -> None:
        """Closes our own files of the namespaces, which would keep them alive."""
        while self._entrances:
            os.close(self._entrances.popitem()[1])


def folder_of(prefix: str) -> Path:
    """The folder of the testbed with that prefix.

    Args:
        prefix: As given to `Testbed`.
    """
    return Path("/run", "-".join(filter(None, ("realmgw-testbed", prefix.strip("-")))))


def environment() -> dict[str, str]:
    """Our environment, with the checkout in PYTHONPATH, so that Python programs find `realmgw` and `testbed`."""
    path = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return {**os.environ, "PYTHONPATH": os.pathsep.join(dict.fromkeys([str(CHECKOUT), *filter(None, path)]))}


def take_down(prefix: str = "") -> bool:
    """Takes down a testbed that was kept, with every process in it.

    Args:
        prefix: As given to `Testbed`.

    Returns:
        Whether there was one.
    """
    names = [prefix + namespace for namespace in (*NAMESPACES, ATTACKER)]
    there = [name for name in names if (reaper.NAMESPACES / name).exists()]
    reaper.reap(there, [str(folder_of(prefix)), *(str(reaper.RESOLVERS / name) for name in there)])
    return bool(there)


def _start_reaper() -> subprocess.Popen[bytes]:
    """Starts the reaper, in a session of its own: a Ctrl-C shall not reach it."""
    return subprocess.Popen(
        [sys.executable, "-I", "-S", reaper.__file__, str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
    )
