"""A client that keeps the address that it was told: the whole gateway, real conntrack, real time."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from typing import ClassVar

from realmgw.test.kernel.realm_case import FIRST, SECOND, RealmTestCase

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.realm import client

AWAY = 15.0  # seconds


class KeptAddressTests(RealmTestCase):
    """Seven addresses for two hosts."""

    circular: ClassVar[Sequence[Mapping[str, str]]] = [{"addresses": "100.64.2.1-100.64.2.7", "attachment": "routed"}]

    def test_who_comes_back_after_15_seconds_finds_the_same_host(self) -> None:
        """Without asking again, while others ask for other hosts; who was never there is refused."""
        address = self.ask("one.gwa.demo")
        self.assertEqual(FIRST, self.public(client.fetch(address)))
        until = time.monotonic() + AWAY
        while time.monotonic() < until:
            self.assertEqual(SECOND, self.public(client.fetch(self.ask("two.gwa.demo"))))
            time.sleep(1.0)
        self.assertEqual(FIRST, self.public(client.fetch(address)))
        with self.assertRaises(ConnectionRefusedError):
            self.public(client.fetch(address, source=self.testbed.clients[3]))
