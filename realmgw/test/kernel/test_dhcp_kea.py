"""Kea, as docs/dhcp.md configures it: hosts come, change and go, and are reached by name meanwhile.

These tests need root. They build the testbed's namespaces under names of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from realmgw.test.kernel import dhcp_case


class KeaTestCase(dhcp_case.DhcpTestCase):
    """kea-dhcp4 and kea-dhcp-ddns."""

    skip = dhcp_case.missing("kea-dhcp4", "kea-dhcp-ddns")
    changed: ClassVar[Mapping[str, str]] = {
        '"valid-lifetime": 3600, "renew-timer": 1200, "rebind-timer": 2400':
        '"valid-lifetime": 3, "renew-timer": 1, "rebind-timer": 2',
        "expire: 7200": "expire: 5",
        '"reclaim-timer-wait-time": 10': '"reclaim-timer-wait-time": 1',
    }  # fmt: skip

    def commands(self) -> Sequence[Sequence[str]]:
        """Both."""
        places = [
            "env",
            f"KEA_PIDFILE_DIR={self.testbed.folder}",
            "KEA_LOCKFILE_DIR=none",
            f"KEA_DHCP_DATA_DIR={self.testbed.folder}",
        ]
        return [
            [*places, self.program(name), "-c", self.file(f"{name}.conf")] for name in ("kea-dhcp-ddns", "kea-dhcp4")
        ]


class KeaTests(KeaTestCase, dhcp_case.StoryTestCase):
    """Hosts."""

    def test_server_dies(self) -> None:
        """Nobody tells when leases end: registrations end by themselves."""
        address = self.joins(self.laptop, "dhclient", "laptop")
        self.is_known("laptop.gwa.demo.", address)
        for process in self.server:
            process.kill()
            process.wait()
        self.is_unknown("laptop.gwa.demo.", address)
        self.serve()


class KeaGuestTests(KeaTestCase):
    """Guests: the key that Kea signs with is one for these."""

    changed: ClassVar[Mapping[str, str]] = {**KeaTestCase.changed, "expire: 7200": "expire: 5, guests: [dhcp]"}

    def test_a_guest_comes_renews_and_goes(self) -> None:
        """The LAN knows its name all the time, the Internet never does."""
        address = self.joins(self.phone, "udhcpc", "phone")
        self.is_known("phone.gwa.demo.", address)
        self.assertRaises(LookupError, self.ask, "phone.gwa.demo.")
        self.phone.renew()
        self.is_known("phone.gwa.demo.", address)
        self.phone.release()
        self.is_unknown("phone.gwa.demo.", address)
