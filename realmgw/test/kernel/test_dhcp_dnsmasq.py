"""dnsmasq, as docs/dhcp.md configures it: hosts come, change and go, and are reached by name meanwhile.

These tests need root. They build the testbed's namespaces under names of their own.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from realmgw.test.checkout import CHECKOUT
from realmgw.test.kernel import dhcp_case


class DnsmasqTests(dhcp_case.StoryTestCase):
    """It has a script for updates, and no lease of less than two minutes."""

    skip = dhcp_case.missing("dnsmasq", "nsupdate")
    changed: ClassVar[Mapping[str, str]] = {"dhcp-authoritative": "dhcp-authoritative\nno-ping"}

    def commands(self) -> Sequence[Sequence[str]]:
        """One process."""
        argv = [self.program("dnsmasq"), "--keep-in-foreground", "--user=root", "--log-facility=-", "--pid-file="]
        return [[*argv, f"--conf-file={self.file('realmgw.conf')}"]]

    def expire(self) -> None:
        """The lease file tells that its leases have ended, while dnsmasq did not run."""
        self.quit()
        leases = Path(self.file("dnsmasq.leases"))
        leases.write_text(re.sub(r"^\d+", str(int(time.time()) - 1), leases.read_text(), flags=re.MULTILINE))
        self.serve()

    def taken(self, ours: str, theirs: str) -> None:
        """The second one has it."""
        self.is_known("laptop.gwa.demo.", theirs)
        self.until(lambda: not self.names_of(ours))


class DnsmasqHereTests(DnsmasqTests):
    """The same with the script that has the gateway's own command in place of nsupdate."""

    changed: ClassVar[Mapping[str, str]] = {**DnsmasqTests.changed, "/realmgw-lease\n": "/realmgw-lease-here\n"}

    def written(self, folder: Path) -> dict[str, str]:
        """The command is that of this checkout."""
        found = super().written(folder)
        command = folder / "realmgw"
        argv = f"{sys.executable} -m realmgw.control.command.cli --socket {folder}/control.sock"
        command.write_text(f'#!/bin/sh\nPYTHONPATH={CHECKOUT} exec {argv} "$@"\n')
        command.chmod(0o700)
        script = folder / "realmgw-lease-here"
        script.write_text(script.read_text().replace("\n", f"\nPATH={folder}:$PATH\n", 1))
        return found
