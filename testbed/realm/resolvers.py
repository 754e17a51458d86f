"""Real recursive resolvers and forwarders in `public`, each a process with a configuration and an address of its own.

::

    for kind in RESOLVERS:
        if (missing := kind.missing()) is None:
            with Resolver(testbed, kind, address="100.64.3.11") as resolver:
                ...  # ask 100.64.3.11

Each of them is configured as Debian ships it (`shipped.py`). The recursive ones begin at a root of our own, which
refers them to the gateway for the realm's zones as the Internet would (`root.py`); forwarders ask the gateway, or one
of those. Each asks from the address that it listens on, so that the gateway sees it as a resolver of its own.
docs/resolvers.md has what came of it.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from types import TracebackType

import attrs
import dns.exception
import dns.message
import dns.query

from testbed.realm import root, shipped
from testbed.realm.gateway import ZONE
from testbed.realm.shipped import Site
from testbed.realm.topology import CHECKOUT, CLIENT, GATEWAY, PATIENCE, Testbed, TestbedError

UNPACKED = CHECKOUT / "testbed" / "build" / "resolvers"
"""Where setup.sh unpacks what must not be installed, since it would change how this machine resolves names."""
PROBE = 0.1  # seconds
"""How long one probe of a starting resolver waits for an answer."""


@attrs.frozen
class Kind:
    """A resolver that there is."""

    title: str
    """What the tables call it."""
    package: str
    """Debian's package."""
    program: str
    """Its program's name."""
    configure: Callable[[Site], Sequence[str]]
    """Writes its configuration; returns the command that starts it."""
    usual: bool = False
    """Whether it can ask only from the client's usual address, `CLIENT`."""
    recursive: bool = True
    """Whether it follows aliases itself; one that does not has another resolver before it."""

    def missing(self) -> str | None:
        """Why it can not be started, or None."""
        return None if self.path() else f"not installed: {self.title} (Debian's package {self.package})"

    def path(self) -> str | None:
        """Its program."""
        places = "/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"
        return shutil.which(self.program, path=f"{places}:{UNPACKED}/lib/systemd:{UNPACKED}/usr/lib/systemd")


class Resolver:
    """A resolver that runs, as a context manager.

    Attributes:
        address: Where it listens, and asks from.
    """

    def __init__(
        self,
        testbed: Testbed,
        kind: Kind,
        address: str,
        upstream: str = GATEWAY,
        lines: Sequence[str] = (),
        *,
        address6: str = "",
    ) -> None:
        """Writes its configuration into a folder below the testbed's.

        Args:
            testbed: A running testbed.
            kind: Which.
            address: Where it shall listen, one of the clients' addresses.
            upstream: Whom a forwarder asks.
            lines: What its user has set, in its own words.
            address6: Where it shall listen besides, and ask from as it likes (unbound: rather than from the other);
                of unbound, BIND and Knot Resolver.

        Raises:
            TestbedError: It is not installed, or can not have that address.
        """
        program = kind.path()
        if program is None:
            raise TestbedError(f"{kind.missing()}")
        if kind.usual and address != CLIENT:
            raise TestbedError(f"{kind.title} asks from {CLIENT} only")
        self.kind = kind
        self.address = address
        self._testbed = testbed
        self._log = f"{kind.program}-{address}.log"
        folder = testbed.folder / f"{kind.program}-{address}"
        folder.mkdir(exist_ok=True)
        # Debian's AppArmor profiles go by the program's place, and know nothing of our folders.
        copy = shutil.copy(program, folder / kind.program)
        # Resolvers are other machines: the gateway's load must not keep them from running.
        self._command = [
            "nice",
            "-n",
            "-10",
            *kind.configure(Site(folder, address, str(copy), upstream, tuple(lines), address6)),
        ]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Resolver:
        """Starts it, and does not wait; before that, the root, when nobody else did."""
        root.start(self._testbed)
        self.process = self._testbed.spawn("public", self._command, log=self._log)
        return self

    def __enter__(self) -> Resolver:
        """Starts it, if `start` did not, and waits until it answers for the realm's zone; the gateway has to run.

        Raises:
            TestbedError: It did not; the text has its last words.
        """
        self.process = self.process or self.start().process
        assert self.process is not None
        end = time.monotonic() + PATIENCE
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > end:
                words = (self._testbed.folder / self._log).read_text(errors="replace").splitlines()[-8:]
                self._end()
                raise TestbedError("\n".join([f"{self.kind.title} did not start:", *words]))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends it."""
        self._end()

    def _end(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def _answers(self) -> bool:
        """Whether anything comes back."""
        query = dns.message.make_query(ZONE, "SOA")
        with self._testbed.inside("public"), contextlib.suppress(dns.exception.DNSException, OSError):
            dns.query.udp(query, self.address, timeout=PROBE)
            return True
        time.sleep(0.02)
        return False


RESOLVERS = (
    Kind("unbound", "unbound", "unbound", shipped.unbound),
    Kind("BIND", "bind9", "named", shipped.bind),
    Kind("Knot Resolver", "knot-resolver", "kresd", shipped.knot),
    Kind("PowerDNS Recursor", "pdns-recursor", "pdns_recursor", shipped.powerdns),
    Kind("dnsmasq", "dnsmasq-base", "dnsmasq", shipped.dnsmasq, recursive=False),
    Kind("systemd-resolved", "systemd-resolved", "systemd-resolved", shipped.resolved, usual=True),
)
"""What Debian 12 has."""
