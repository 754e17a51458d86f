"""The real gateway in `gwa`: configured, started by twistd, stopped, killed and started again.

::

    names = [Subscriber("test.gwa.demo.", "192.168.0.100")]
    with Testbed() as testbed, Gateway(testbed, names) as gateway:
        gateway.kill()  # as `kill -9` does
        gateway.start()  # serves again
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import attrs
import dns.exception
import dns.flags
import dns.message
import dns.query
from ruamel.yaml import YAML

from testbed.realm import ipv6
from testbed.realm.topology import GATEWAY, GATEWAY_LAN, ON_LINK, PATIENCE, ROUTED, Testbed, TestbedError

ZONE = "gwa.demo."
"""The realm's zone."""
ON_LINK_POOL = {"addresses": f"{ON_LINK[0]}-{ON_LINK[-1]}", "attachment": "on-link"}
"""Three addresses of the WAN link."""
ROUTED_POOL = {"addresses": ROUTED, "attachment": "routed"}
"""Sixteen addresses that the router routes to the gateway."""
ROUTED_POOL6 = {"addresses": ipv6.ROUTED, "attachment": "routed"}
"""A /64 that the router routes to the gateway."""
ORDERLY = 0
"""How a gateway ends that has stopped in order."""
PROBE = 0.1  # seconds
"""How long one probe of a starting gateway waits for its answer."""
LAST_WORDS = 15
"""So many lines of its log are told when a gateway does not start."""


@attrs.frozen
class Service:
    """A service name (SFQDN) of a subscriber."""

    fqdn: str
    """The name, with the final dot."""
    protocol: int = 0
    """IP protocol number, 0 for any."""
    port: int = 0
    """Destination port, 0 for any."""
    loose_packet: int = 0
    """How many further packets a claim lets in; -1: any number until its timeout."""
    proxy_required: bool = False
    """Whether it is reached by the service pool, at addresses that are the same for whoever asks."""


@attrs.frozen
class Subscriber:
    """A private host as the gateway's configuration has it."""

    name: str
    """Its ID, with the final dot."""
    address: str
    """Its private address."""
    services: tuple[Service, ...] = ()
    """What it is reached by besides; its own name, for everything, always belongs to it."""
    limit: int = 1000
    """CIRCULARPOOL's `max`."""
    address6: str = ""
    """Its address of IPv6; empty, as that of IPv4 may be: it has none."""
    ipv6: str = ""
    """`pool`, `pinhole` or `off`; empty: as the configuration says."""
    more: Mapping[str, Any] = attrs.Factory(dict)
    """What else its entry says."""

    def text(self) -> str:
        """Its entry in a subscriber file."""
        services = [Service(self.name), *self.services]
        addresses = {key: [each] for key, each in (("IPV4", self.address), ("IPV6", self.address6)) if each}
        entry: dict[str, Any] = {
            "ID": {"FQDN": [self.name], **addresses},
            **({"ipv6": self.ipv6} if self.ipv6 else {}),
            "CIRCULARPOOL": [{"max": self.limit}],
            "SFQDN": [attrs.asdict(service) for service in services],
            **self.more,
        }
        return f"{self.name}:\n" + "".join(f"  {key}: {json.dumps(value)}\n" for key, value in entry.items())


class Gateway:
    """A gateway in a testbed, as a context manager: started on entry, stopped on exit.

    Attributes:
        config: Its main configuration file.
        log: The file with its output.
        control: Its control socket.
        process: The running process, None when there is none.
    """

    def __init__(
        self,
        testbed: Testbed,
        subscribers: Iterable[Subscriber],
        *,
        circular: Sequence[Mapping[str, str]] = (ON_LINK_POOL, ROUTED_POOL),
        settings: Mapping[str, Any] | None = None,
        before: Sequence[str] = (),
    ) -> None:
        """Writes the configuration into the testbed's folder.

        Args:
            testbed: A running testbed.
            subscribers: Who lives behind the gateway.
            circular: The circular pool, as in the configuration.
            settings: Whole sections of the configuration, put in or over the testbed's own.
            before: What stands before the command that starts it, such as `setpriv` with its options.
        """
        self._testbed, self._before = testbed, before
        self.config = testbed.folder / "realmgw.yaml"
        self.log = testbed.folder / "gateway.log"
        self.control = testbed.folder / "control.sock"
        self.process: subprocess.Popen[bytes] | None = None
        folder = testbed.folder / "subscribers.d"
        folder.mkdir(exist_ok=True)
        with self.config.open("w") as text:
            own = {"subscribers": [str(folder)], "control": {"socket": str(self.control)}, "state": str(testbed.folder)}
            yaml = YAML(typ="safe")
            yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # which is declared as None
            yaml.dump({**configuration(circular), **own, **(settings or {})}, text)
        (folder / "testbed.yaml").write_text("".join(subscriber.text() for subscriber in subscribers))

    def __enter__(self) -> Gateway:
        """Starts it."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops it, if it runs."""
        if self.process is not None:
            self.stop()

    @property
    def command(self) -> list[str]:
        """How it is started, in the namespace, with the checkout in PYTHONPATH."""
        return [str(twistd()), "--nodaemon", "--pidfile=", "realmgw", "--config", str(self.config)]

    @property
    def pid(self) -> int:
        """The id of the running process.

        Raises:
            TestbedError: It does not run.
        """
        return self._running().pid

    def start(self, *options: str, timeout: float = PATIENCE) -> float:
        """Starts it and waits until it answers a DNS query.

        Args:
            options: Further options of its own, such as `--purge`.
            timeout: How long to wait, in seconds.

        Returns:
            How long it took, in seconds.

        Raises:
            TestbedError: It ended, or did not answer in time (then it was killed); the text has the end of its log.
        """
        begin = time.monotonic()
        argv = [*self._before, sys.executable, *self.command, *options]
        self.process = self._testbed.spawn("gwa", argv, log=self.log.name)
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() - begin > timeout:
                self.kill()
                words = self.log.read_text(errors="replace").splitlines()[-LAST_WORDS:]
                raise TestbedError("the gateway did not start:\n" + "\n".join(words))
        return time.monotonic() - begin

    def stop(self, timeout: float = PATIENCE) -> int:
        """Stops it as an init system does, by SIGTERM.

        Args:
            timeout: How long it may take, in seconds.

        Returns:
            Its exit status: `ORDERLY` when all went well.

        Raises:
            TestbedError: It did not stop in time, and was killed.
        """
        process = self._running()
        process.terminate()
        try:
            status = process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise TestbedError(f"the gateway did not stop within {timeout:g} s and was killed") from None
        self.process = None
        return status

    def kill(self) -> None:
        """Kills it by SIGKILL."""
        process = self._running()
        process.kill()
        process.wait()
        self.process = None

    def answers(self) -> bool:
        """Whether it answers a DNS query of a public client, within `PROBE` seconds."""
        query = dns.message.make_query(ZONE, "SOA", flags=dns.flags.Flag(0))
        with self._testbed.inside("public"), contextlib.suppress(dns.exception.DNSException, OSError):
            dns.query.udp(query, GATEWAY, timeout=PROBE)
            return True
        return False

    def _running(self) -> subprocess.Popen[bytes]:
        """The running process."""
        if self.process is None:
            raise TestbedError("the gateway does not run")
        return self.process


def configuration(circular: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """The main configuration file of the testbed's gateway without its subscribers, as plain values.

    Args:
        circular: The circular pool.
    """
    own = [GATEWAY, ipv6.GATEWAY] if ipv6.AVAILABLE else [GATEWAY]
    inside = [GATEWAY_LAN, ipv6.GATEWAY_LAN] if ipv6.AVAILABLE else [GATEWAY_LAN]
    zone = {"name_servers": {f"ns1.{ZONE}": [*own]}, "contact": f"hostmaster.{ZONE}", "address": [*own]}
    return {
        "name": f"gateway.{ZONE}",
        "zones": {ZONE: zone},
        "interfaces": {"wan": "wan0", "lan": ["lan0"]},
        "pools": {"circular": [dict(piece) for piece in circular], "service": [GATEWAY]},
        "dns": {"wan": {"listen": own}, "lan": {"listen": inside}},
    }


def twistd() -> Path:
    """The twistd of the running interpreter's environment.

    Raises:
        TestbedError: There is none.
    """
    path = Path(sys.executable).with_name("twistd")
    if not path.exists():
        raise TestbedError(f"there is no twistd beside {sys.executable}: install Twisted there")
    return path
