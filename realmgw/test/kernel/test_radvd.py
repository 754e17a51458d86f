"""A host that has nothing but a link: radvd, as conf/radvd.conf has it, tells it where it is."""

from __future__ import annotations

import re
import shutil
import subprocess
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path

from realmgw.config.settings import Leave6, Outbound6
from realmgw.test import programs
from realmgw.test.checkout import CHECKOUT, NO_CHECKOUT
from realmgw.test.kernel import requirements
from realmgw.test.kernel.neighbours_case import PATIENCE
from realmgw.test.kernel.test_outbound6 import LAN, OutboundTestCase

CONF = CHECKOUT / "conf" / "radvd.conf"
PREFIX, OUTSIDE = IPv6Network("fd00::/64"), IPv6Network("2001:db8:1:6::/64")
GATEWAY = "fd00::1"


class AdvertisedTests(OutboundTestCase):
    """The drop-in for radvd, and a host that configures itself (SLAAC, RFC 4862)."""

    skip = requirements.missing_for_testbed() or programs.missing("radvd") or NO_CHECKOUT

    def setUp(self) -> None:
        """The gateway's datapath stands, with the LAN's prefix translated; the host has no address."""
        super().setUp()
        self.at_host("ip", "-6", "route", "flush", "default")
        self.at_host("ip", "-6", "addr", "flush", "scope", "global", "dev", "eth0")
        self.run_program("ip", "addr", "add", f"{GATEWAY}/{PREFIX.prefixlen}", "dev", LAN, "nodad")
        self.place(Outbound6(LAN, Leave6.NPTV6, PREFIX, OUTSIDE))

    def advertise(self) -> None:
        """Starts radvd."""
        folder = Path(self.mktemp())
        folder.mkdir()
        shutil.copy(CONF, folder / "radvd.conf")  # it refuses a file that others may write
        (folder / "radvd.conf").chmod(0o644)
        argv = ["radvd", "--nodaemon", "--logmethod", "stderr", "--config", str(folder / "radvd.conf")]
        with (folder / "log").open("w") as log:
            process = subprocess.Popen([*argv, "--pidfile", str(folder / "pid")], stderr=log)
        self.addCleanup(process.wait, PATIENCE)
        self.addCleanup(process.terminate)

    def addresses(self) -> list[IPv6Address]:
        """The host's addresses that may be used, and are not of its link only."""
        shown = self.at_host("ip", "-6", "addr", "show", "dev", "eth0", "scope", "global", "-tentative")
        return [IPv6Address(each) for each in re.findall(r"inet6 ([0-9a-f:]+)/64", shown)]

    def test_file_is_good(self) -> None:
        """As radvd says, and it has the addresses of conf/realmgw.yaml."""
        said = subprocess.run(
            ["radvd", "--configtest", "--config", str(CONF)], capture_output=True, text=True, check=False
        )
        self.assertEqual(said.returncode, 0, said.stderr)
        self.assertIn(f"interface {LAN}", CONF.read_text())

    def test_host_configures_itself_and_leaves(self) -> None:
        """It has an address of the prefix, the gateway for its router, and the Internet sees the prefix outside."""
        self.advertise()
        self.until(lambda: bool(self.addresses()))
        [address] = self.addresses()
        self.assertIn(address, PREFIX)
        self.assertRegex(
            self.at_host("ip", "-6", "route", "show", "default"), r"default via fe80::\S+ dev eth0 proto ra"
        )
        self.assertIn(IPv6Address(self.tcp(str(address))), OUTSIDE)
