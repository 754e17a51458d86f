"""Where the captive portal's API is, as DHCP servers tell it by docs/portal.md (RFC 8910, section 2).

These tests need root. They build the testbed's namespaces under names of their own.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from realmgw.test import programs
from realmgw.test.checkout import CHECKOUT
from realmgw.test.kernel import dhcp_case

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.load import generator
    from testbed.realm.leased import LeasedTestbed, copied

PREFIX = f"t{os.getpid()}-"
MACHINE = "phone"
API = "https://portal.example.org/captive-portal/api"
LAN, LAN6 = "192.168.0", "fd00:0:0:7"
DHCLIENT6 = "option dhcp6.captive-portal code 103 = text;\nrequest dhcp6.captive-portal;\n"
NOTED = '#!/bin/sh\nenv > "$(dirname "$0")/told.new" && mv "$(dirname "$0")/told.new" "$(dirname "$0")/told"\n'
"""A client's script: it puts down what it was told."""


def documented() -> tuple[str, str, str, str]:
    """What the page says is to be written: for Kea, for dhcpd, for its DHCPv6, and for dnsmasq."""
    page = (CHECKOUT / "docs" / "portal.md").read_text()
    part = page[page.index("(RFC 8910)") :]
    kea, dhcpd, dhcpd6, dnsmasq = re.findall(r"^```\n(.*?)^```", part, re.MULTILINE | re.DOTALL)[:4]
    return kea, dhcpd, dhcpd6, dnsmasq


class ToldTests(SynchronousTestCase):
    """A client that asks for it gets it from each server, by both families."""

    skip = dhcp_case.missing("dhclient") or programs.missing("kea-dhcp4", "kea-dhcp6", "dhcpd", "dnsmasq")

    def setUp(self) -> None:
        """A LAN with a machine that has no address but the one that IPv6 gives to everybody."""
        self.testbed = LeasedTestbed(PREFIX, hosts=1, machines=[MACHINE])
        self.testbed.__enter__()
        self.addCleanup(self.testbed.close)
        self.folder = self.testbed.folder
        added = self.testbed.run("gwa", ["ip", "address", "add", f"{LAN6}::1/64", "dev", "lan0", "nodad"])
        self.assertEqual(added.returncode, 0, added.stderr)
        self.script = self.file("script", NOTED)
        self.kea, self.dhcpd, self.dhcpd6, self.dnsmasq = documented()

    def file(self, name: str, text: str = "") -> str:
        """Writes a file; returns where it is."""
        path: Path = self.folder / name
        path.write_text(text)
        path.chmod(0o755)
        return str(path)

    @contextlib.contextmanager
    def served(self, argv: Sequence[str], port: int) -> Iterator[None]:
        """While a server runs that listens at a port."""
        places = ["env", f"KEA_PIDFILE_DIR={self.folder}", "KEA_LOCKFILE_DIR=none", f"KEA_DHCP_DATA_DIR={self.folder}"]
        server = self.testbed.spawn("gwa", [*places, copied(argv[0], self.folder), *argv[1:]], log="dhcp.log")
        try:
            generator.wait_for_socket(self.testbed, "gwa", server, f":{port}", log="dhcp.log")
            yield
        finally:
            server.terminate()
            server.wait(dhcp_case.PATIENCE)

    def told(self, argv: Sequence[str], variable: str) -> str:
        """What a client was told, by the name that it has in the script's environment."""
        told: Path = self.folder / "told"
        told.unlink(missing_ok=True)
        client = self.testbed.spawn(MACHINE, argv, log="client.log")
        words, end = "", time.monotonic() + dhcp_case.PATIENCE
        try:
            while f"{variable}=" not in words:
                logs = (self.folder / name for name in ("client.log", "dhcp.log"))
                self.assertLess(time.monotonic(), end, "".join(each.read_text(errors="replace") for each in logs))
                time.sleep(0.05)
                words = told.read_text() if told.exists() else ""
        finally:
            client.kill()
            client.wait()
        return next(line.partition("=")[2] for line in words.splitlines() if line.startswith(f"{variable}="))

    def told4(self) -> str:
        """What udhcpc is told, which asks for it by number."""
        argv = ["busybox", "udhcpc", "-f", "-R", "-T", "1", "-t", "20", "-i", "eth0", "-s", self.script, "-O", "114"]
        return bytes.fromhex(self.told(argv, "opt114")).decode()

    def told6(self) -> str:
        """What dhclient is told, which asks for nothing else (RFC 8415, section 6.1)."""
        files = ["-cf", self.file("client.conf", DHCLIENT6), "-lf", self.file("leases"), "-pf", str(self.folder / "p")]
        argv = [copied("dhclient", self.folder), "-6", "-S", "-d", *files, "-sf", self.script, "eth0"]
        return self.told(argv, "new_dhcp6_captive_portal")

    def test_kea(self) -> None:
        """The page has the lines of both families, one below the other."""
        for line, family in zip(self.kea.splitlines(), ("4", "6"), strict=True):
            network = f"{LAN}.0/24" if family == "4" else f"{LAN6}::/64"
            pools = [{"pool": f"{LAN}.50 - {LAN}.60"}] if family == "4" else []
            subnet = {
                "id": 1,
                "subnet": network,
                "interface": "lan0",
                "pools": pools,
                "option-data": [json.loads(line)],
            }
            how = {
                "interfaces-config": {"interfaces": ["lan0"]},
                "lease-database": {"type": "memfile", "persist": False},
                f"subnet{family}": [subnet],
                **({"data-directory": str(self.folder)} if family == "6" else {}),
            }
            file = self.file(f"kea{family}.conf", json.dumps({f"Dhcp{family}": how}))
            with self.served([f"kea-dhcp{family}", "-c", file], 67 if family == "4" else 547):
                self.assertEqual(self.told4() if family == "4" else self.told6(), API)

    def test_dhcpd(self) -> None:
        """Each family has a server of its own."""
        subnet = f"subnet {LAN}.0 netmask 255.255.255.0 {{ range {LAN}.50 {LAN}.60; }}\n"
        for family, text, told, port in (
            ("-4", f"{self.dhcpd}{subnet}", self.told4, 67),
            ("-6", f"{self.dhcpd6}subnet6 {LAN6}::/64 {{ }}\n", self.told6, 547),
        ):
            files = ["-cf", self.file("dhcpd.conf", text), "-lf", self.file("dhcpd.leases")]
            with self.served(["dhcpd", family, "-f", "-d", "--no-pid", *files, "lan0"], port):
                self.assertEqual(told(), API)

    def test_dnsmasq(self) -> None:
        """One for both."""
        ranges = f"dhcp-range={LAN}.50,{LAN}.60\ndhcp-range={LAN6}::,static,64\n"
        file = self.file("dnsmasq.conf", f"port=0\ninterface=lan0\nbind-interfaces\nno-ping\n{ranges}{self.dnsmasq}")
        argv = ["dnsmasq", "--keep-in-foreground", "--user=root", "--log-facility=-", "--pid-file="]
        leases = f"--dhcp-leasefile={self.folder / 'leases.dnsmasq'}"
        with self.served([*argv, leases, f"--conf-file={file}"], 67):
            self.assertEqual((self.told4(), self.told6()), (API, API))
