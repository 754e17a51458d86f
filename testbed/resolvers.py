"""Real recursive resolvers and forwarders in `public`, each a process with a configuration and an address of its own.

::

    for kind in RESOLVERS:
        if (missing := kind.missing()) is None:
            with Resolver(testbed, kind, address="100.64.3.11") as resolver:
                ...  # ask 100.64.3.11

Each of them has the realm's zone and its alias zone from the gateway, by its own word for that, or begins at a root
of our own that refers it there (`root.py`); and nothing else from anybody. It asks from the
address that it listens on, so that the gateway sees each as a resolver of its own. docs/resolvers.md has what came of
it.
"""

from __future__ import annotations

import contextlib
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

import attrs
import dns.exception
import dns.message
import dns.query

from testbed.gateway import ZONE
from testbed.topology import CHECKOUT, CLIENT, GATEWAY, PATIENCE, Testbed, TestbedError

ALIASES = f"cname-{ZONE}"
"""The zone of one-time aliases."""
ZONES = (ZONE, ALIASES)
"""What they ask the gateway for."""
UNPACKED = CHECKOUT / "testbed" / "build" / "resolvers"
"""Where setup.sh unpacks what must not be installed, since it would change how this machine resolves names."""
ROOT = "100.67.0.1"
"""Where our root of the DNS is served, for resolvers that begin there; only `public` knows of it."""
POWERDNS_SETTINGS = """exec "$0" "$@" $("$0" --help 2>/dev/null | grep -o -m 1 -e --enable-old-settings)"""
"""Starts PowerDNS Recursor with settings of a form that all of its versions read; from 5.4 on, if it is asked to."""
PROBE = 0.1  # seconds
"""How long one probe of a starting resolver waits for an answer."""


@attrs.frozen
class Site:
    """Where a resolver runs."""

    folder: Path
    """A folder of its own."""
    address: str
    """Where it listens, and asks from."""
    program: str
    """What to start."""
    upstream: str = GATEWAY
    """Whom it asks for the zones."""


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

    def __init__(self, testbed: Testbed, kind: Kind, address: str, upstream: str = GATEWAY) -> None:
        """Writes its configuration into a folder below the testbed's.

        Args:
            testbed: A running testbed.
            kind: Which.
            address: Where it shall listen, one of the clients' addresses.
            upstream: Whom it asks for the realm's zones.

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
        self._command = ["nice", "-n", "-10", *kind.configure(Site(folder, address, str(copy), upstream))]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Resolver:
        """Starts it, and does not wait."""
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


def _unbound(site: Site) -> Sequence[str]:
    stubs = "".join(f'stub-zone:\n  name: "{zone}"\n  stub-addr: {site.upstream}\n' for zone in ZONES)
    text = f"""server:
  directory: "{site.folder}"
  username: ""
  chroot: ""
  pidfile: ""
  use-syslog: no
  logfile: ""
  do-daemonize: no
  do-ip6: no
  interface: {site.address}
  outgoing-interface: {site.address}
  access-control: 0.0.0.0/0 allow
  num-threads: 1
  msg-cache-size: 4m
  rrset-cache-size: 4m
  module-config: "iterator"
{stubs}remote-control:
  control-enable: no
"""
    return [site.program, "-d", "-c", _written(site, text)]


def _bind(site: Site) -> Sequence[str]:
    stubs = "".join(
        f'zone "{zone}" {{ type static-stub; server-addresses {{ {site.upstream}; }}; }};\n' for zone in ZONES
    )
    text = f"""options {{
  directory "{site.folder}";
  pid-file none;
  session-keyfile none;
  listen-on {{ {site.address}; }};
  listen-on-v6 {{ none; }};
  query-source address {site.address};
  allow-query {{ any; }};
  recursion yes;
  dnssec-validation no;
  empty-zones-enable no;
  max-cache-size 8m;
}};
controls {{ }};
{stubs}"""
    return [site.program, "-4", "-g", "-n", "1", "-c", _written(site, text)]


def _knot(site: Site) -> Sequence[str]:
    """Its ways to forward follow no aliases, so it begins at a root of our own, which a second process serves."""
    text = f"""net.ipv6 = false
net.listen('{site.address}', 53)
net.outgoing_v4('{site.address}')
cache.open(4 * MB, 'lmdb://{site.folder}')
trust_anchors.remove('.')
modules.load('hints')
hints.root({{['root.invalid.'] = '{ROOT}'}})
"""
    command = [site.program, "-n", "-c", _written(site, text), str(site.folder)]
    ready = site.folder / "root-is-ready"
    ready.unlink(missing_ok=True)
    root = shlex.join([sys.executable, "-m", "testbed.root", ROOT, str(ready)])
    wait = f"while kill -0 $! && [ ! -e {shlex.quote(str(ready))} ]; do sleep 0.02; done"
    return ["sh", "-c", f"ip address add {ROOT}/32 dev lo 2>/dev/null; {root} & {wait}; exec {shlex.join(command)}"]


def _powerdns(site: Site) -> Sequence[str]:
    text = f"""local-address={site.address}
local-port=53
query-local-address={site.address}
forward-zones={",".join(f"{zone}={site.upstream}" for zone in ZONES)}
socket-dir={site.folder}
dnssec=off
daemon=no
write-pid=no
threads=1
pdns-distributes-queries=no
allow-from=0.0.0.0/0
dont-query=
max-cache-entries=10000
disable-packetcache=yes
"""
    (site.folder / "recursor.conf").write_text(text)
    return ["sh", "-c", POWERDNS_SETTINGS, site.program, f"--config-dir={site.folder}"]


def _dnsmasq(site: Site) -> Sequence[str]:
    servers = [f"--server=/{zone}/{site.upstream}@{site.address}" for zone in ZONES]
    return [
        site.program,
        *("--keep-in-foreground", "--user=root", "--conf-file=/dev/null", "--pid-file=", "--no-resolv", "--no-hosts"),
        *("--bind-interfaces", f"--listen-address={site.address}", "--log-facility=-"),
        *servers,
    ]


def _resolved(site: Site) -> Sequence[str]:
    """It knows one place only for its configuration and its state: in a mount namespace, these are ours."""
    text = f"""[Resolve]
DNS={site.upstream}
FallbackDNS=
Domains=~.
DNSSEC=no
LLMNR=no
MulticastDNS=no
DNSStubListener=no
DNSStubListenerExtra={site.address}
"""
    config = _written(site, text)
    script = f"""set -e
mount -t tmpfs none /run/systemd 2>/dev/null || {{ mkdir -p /run/systemd; mount -t tmpfs none /run/systemd; }}
mkdir -p /run/systemd/resolve /run/systemd/resolved.conf.d
cp {config} /run/systemd/resolved.conf.d/testbed.conf
chown -R 65534 /run/systemd/resolve
exec setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=+net_bind_service,+net_raw,+setpcap \\
    --ambient-caps=+net_bind_service,+net_raw,+setpcap {site.program}
"""
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script]


def _written(site: Site, text: str) -> str:
    path = site.folder / "configuration"
    path.write_text(text)
    return str(path)


RESOLVERS = (
    Kind("unbound", "unbound", "unbound", _unbound),
    Kind("BIND", "bind9", "named", _bind),
    Kind("Knot Resolver", "knot-resolver", "kresd", _knot),
    Kind("PowerDNS Recursor", "pdns-recursor", "pdns_recursor", _powerdns),
    Kind("dnsmasq", "dnsmasq-base", "dnsmasq", _dnsmasq, recursive=False),
    Kind("systemd-resolved", "systemd-resolved", "systemd-resolved", _resolved, usual=True),
)
"""What Debian 12 has."""
