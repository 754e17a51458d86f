"""ISC's dhcpd, as docs/dhcp.md configures it: hosts come, change and go, and are reached by name meanwhile.

These tests need root. They build the testbed's namespaces under names of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from realmgw.test.kernel import dhcp_case

SHORT = {
    "default-lease-time 3600;\nmax-lease-time 3600;": "default-lease-time 3;\nmax-lease-time 3;",
    "ddns-update-style": "ping-check false;\nddns-update-style",
}


class Dhcpd(dhcp_case.DhcpTestCase):
    """The server."""

    skip = dhcp_case.missing("dhcpd")
    changed: ClassVar[Mapping[str, str]] = SHORT

    def commands(self) -> Sequence[Sequence[str]]:
        """One process."""
        Path(self.file("dhcpd.leases")).touch()
        files = ["-cf", self.file("dhcpd.conf"), "-lf", self.file("dhcpd.leases")]
        return [[self.program("dhcpd"), "-4", "-f", "-d", "--no-pid", *files, "lan0"]]


class StandardTests(Dhcpd, dhcp_case.StoryTestCase):
    """Whose a name is stands in DHCID."""


class InterimTests(Dhcpd, dhcp_case.ComingTestCase):
    """It stands in TXT."""

    changed: ClassVar[Mapping[str, str]] = {**SHORT, "ddns-update-style standard": "ddns-update-style interim"}
