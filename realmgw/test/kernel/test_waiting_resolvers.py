"""A resolver that asks again and again while its query waits: the whole gateway, a real unbound."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from typing import ClassVar

from twisted.trial.unittest import SkipTest

from realmgw.control.command.client import ask
from realmgw.test.kernel.realm_case import FIRST, SECOND, RealmTestCase

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.player.asking import Asker
    from testbed.player.defences import Defence
    from testbed.realm import client
    from testbed.realm.gateway import Gateway
    from testbed.realm.resolvers import RESOLVERS, Resolver
    from testbed.realm.topology import GATEWAY, Testbed

BY_UNBOUND = 1
"""Which of the clients' addresses it has."""


class WaitingTests(RealmTestCase):
    """One address for two hosts, and challenges."""

    circular: ClassVar[Sequence[Mapping[str, str]]] = [{"addresses": "100.64.2.1", "attachment": "routed"}]

    def setUp(self) -> None:
        """Skips without unbound."""
        if (missing := RESOLVERS[0].missing()) is not None:
            raise SkipTest(missing)
        super().setUp()

    def build(self) -> tuple[Testbed, Gateway]:
        """With adaptive challenges, and no load policy."""
        type(self).settings = Defence("", ("adaptive",)).settings()
        return super().build()

    def resolve(self, name: str, server: str, source: str = "") -> str:
        """The address of a name, by a stub that does what it is told."""
        return self.public(Asker(server, source=source).resolve(name, timeouts=(4.0,))).address

    def counts(self, *names: str) -> list[int]:
        """What the gateway has counted of queries and claims."""
        counts = ask(self.gateway.control, "status")["counts"]
        every = {**counts["allocation"], **counts["dns"]["wan"]}
        return [every[name] for name in names]

    def test_a_query_of_unbound_waits_once(self) -> None:
        """It is told to come by TCP, and has one claim for its one client, who finds his host."""
        unbound = self.testbed.clients[BY_UNBOUND]
        with Resolver(self.testbed, RESOLVERS[0], unbound):
            self.assertEqual(FIRST, self.public(client.fetch(self.resolve("one.gwa.demo.", unbound))))
            self.resolve("two.gwa.demo.", GATEWAY, self.testbed.clients[2])  # and nobody comes
            before = self.counts("tc_to_wait", "claimed", "silent")
            waited = self.counts("waited")
            begin = time.monotonic()
            address = self.resolve("one.gwa.demo.", unbound)
            self.assertGreater(time.monotonic() - begin, 0.2)
            self.assertEqual(FIRST, self.public(client.fetch(address)))
            after = self.counts("tc_to_wait", "claimed", "silent")
        self.assertEqual([now - then for then, now in zip(before, after, strict=True)], [1, 1, 0])
        self.assertEqual([waited[0] + 1], self.counts("waited"))

    def test_the_other_host_is_found_as_well(self) -> None:
        """By a stub that waits by TCP."""
        self.resolve("one.gwa.demo.", GATEWAY, self.testbed.clients[2])
        address = self.resolve("two.gwa.demo.", GATEWAY, self.testbed.clients[2])
        self.assertEqual(SECOND, self.public(client.fetch(address)))
