"""Hosts that have nothing but a link: each is a namespace on the LAN, and gets its address by DHCP.

::

    with LeasedTestbed("mine-", machines=["laptop"]) as testbed:
        laptop = Machine(testbed, "laptop")
        laptop.join("dhclient", "laptop")  # the DHCP server is somebody else's business
        laptop.address()

The hosts of every testbed are there as well.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from testbed.realm import host, links
from testbed.realm.topology import LAN, PATIENCE, Testbed, TestbedError

LEASES = tuple(f"192.168.0.{number}" for number in range(50, 70))
"""Addresses that a machine serves at, if it has one of them."""
SCRIPT = f"""#!/bin/sh
# Called by dhclient, which tells by variables, and by udhcpc, which tells by an argument.
address=${{new_ip_address:-$ip}}
case ${{reason:-$1}} in
PREINIT) ip link set "$interface" up ;;
BOUND | RENEW | REBIND | REBOOT | bound | renew)
    ip -4 address show dev "$interface" | grep -q " $address/" || {{
        ip -4 address flush dev "$interface"
        ip address add "$address/{LAN}" dev "$interface"
    }}
    ip route replace default via "${{new_routers:-$router}}" ;;
EXPIRE | FAIL | RELEASE | STOP | deconfig | nak) ip -4 address flush dev "$interface" ;;
esac
"""
"""What clients change the interface by; those of Debian change the machine's resolv.conf as well."""


def copied(program: str, folder: Path) -> str:
    """A program's copy in a folder: Debian's AppArmor profiles go by its place, and know nothing of our folders.

    Args:
        program: Its name.
        folder: Where the copy shall be.
    """
    copy = folder / program
    if not copy.exists():
        shutil.copy(shutil.which(program) or program, copy)
    return str(copy)


class LeasedTestbed(Testbed):
    """A testbed with further machines on the LAN: there, the gateway's `lan0` is a bridge.

    Attributes:
        machines: Their namespaces.
    """

    def __init__(self, prefix: str = "", *, machines: Sequence[str] = ("laptop", "phone"), **how: Any) -> None:
        """Plans it.

        Args:
            prefix: As `Testbed` has it.
            machines: Names of namespaces, and of ports of the bridge.
            how: Everything else, as `Testbed` has it.
        """
        super().__init__(prefix, **how)
        self.machines = tuple(machines)
        self._namespaces = (*self._namespaces, *machines)

    def _connect(self, here: str, interface: str, there: str, peer: str) -> None:
        """A veth pair between two namespaces; that of the LAN becomes several, on a bridge."""
        if (here, interface) != ("gwa", "lan0"):
            super()._connect(here, interface, there, peer)
            return
        self._ip("link add lan0 type bridge")
        self._ip("link set lan0 up")
        for namespace in (there, *self.machines):
            super()._connect(here, namespace, namespace, peer)
            self._ip(f"link set {namespace} master lan0")

    def _ip(self, words: str) -> None:
        done = self.run("gwa", ["ip", *words.split()])
        if done.returncode:
            raise TestbedError(f"ip {words}: {done.stderr.strip()}")


class Machine:
    """One of the machines."""

    def __init__(self, testbed: LeasedTestbed, name: str) -> None:
        """It serves at once at whichever address of `LEASES` it will have.

        Args:
            testbed: A running testbed.
            name: Its namespace.
        """
        self._testbed, self._name = testbed, name
        self._client: subprocess.Popen[bytes] | None = None
        self._folder = testbed.folder / name
        self._folder.mkdir()
        self._script = self._folder / "script"
        self._script.write_text(SCRIPT)
        self._script.chmod(0o755)
        testbed.call(name, links.set_parameters, {"ipv4/ip_nonlocal_bind": "1"})
        host.start(testbed, name, LEASES)

    def join(self, kind: str, name: str = "", *, address: str = "", alone: bool = False) -> None:
        """Starts a DHCP client, which does not know of any lease it had before.

        Args:
            kind: `dhclient`, which renews as it is told, or `udhcpc`, which seldom does.
            name: The host name that it tells.
            address: The address that it wants.
            alone: It says that it updates its name itself, as Windows does; dhclient only.
        """
        made = self._dhclient(name, address, alone) if kind == "dhclient" else self._udhcpc(name, address)
        self._client = self._testbed.spawn(self._name, made, log=f"{self._name}.log")

    def _dhclient(self, name: str, address: str, alone: bool) -> list[str]:
        """Its command."""
        told = [f"host-name {json.dumps(name)}"] if name else []
        told += [f"fqdn.fqdn {json.dumps(name)}", "fqdn.server-update off"] if alone else []
        told += [f"dhcp-requested-address {address}"] if address else []
        lines = ["request subnet-mask, routers, domain-name-servers;", *(f"send {each};" for each in told)]
        (self._folder / "conf").write_text("\n".join([*lines, ""]))
        (self._folder / "leases").write_text("")
        options = {"-cf": "conf", "-lf": "leases", "-pf": "pid", "-sf": "script"}
        files = (word for option, file in options.items() for word in (option, str(self._folder / file)))
        return [copied("dhclient", self._folder), "-4", "-d", *files, "eth0"]

    def _udhcpc(self, name: str, address: str) -> list[str]:
        """Its command."""
        told = [*(["-x", f"hostname:{name}"] if name else []), *(["-r", address] if address else [])]
        return ["busybox", "udhcpc", "-f", "-R", "-T", "1", "-t", "10", "-i", "eth0", "-s", str(self._script), *told]

    def address(self) -> str:
        """Its address, or nothing."""
        shown = self._testbed.run(self._name, ["ip", "-4", "-json", "address", "show", "dev", "eth0"]).stdout
        return next((str(each["local"]) for link in json.loads(shown) for each in link.get("addr_info", ())), "")

    def renew(self) -> None:
        """Asks for its lease again, before it would; udhcpc only."""
        assert self._client is not None
        self._client.send_signal(signal.SIGUSR1)

    def release(self) -> None:
        """Gives its address back; udhcpc only."""
        assert self._client is not None
        self._client.terminate()
        self._client.wait(PATIENCE)
        self.vanish()

    def vanish(self) -> None:
        """Is gone, and has told nobody."""
        if self._client is not None:
            self._client.kill()
            self._client.wait()
            self._client = None
        self._testbed.run(self._name, ["ip", "-4", "address", "flush", "dev", "eth0"])
