"""Tests for `realmgw.alerts.ours`."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from unittest.mock import patch

import attrs
from twisted.trial.unittest import SynchronousTestCase

from realmgw.alerts import ours as whose
from realmgw.alerts.ours import Ours
from realmgw.alerts.recent import Way
from realmgw.config.settings import Webproxy
from realmgw.subscribers.reach import Around
from realmgw.test.alerts.test_response import AROUND, CLIENT, GATEWAY, HOST, POOL, into, to_gateway
from realmgw.test.synproxy.test_table import settings


class OursTests(SynchronousTestCase):
    """Whose an address is."""

    def test_what_is_around_is_gone_through_when_it_changes(self) -> None:
        """And for no alert."""
        link, far = ip_network("192.168.0.0/24"), ip_network("10.0.0.0/8")
        around = Around(frozenset((ip_address("192.168.0.7"),)), frozenset(), (link,), ())
        ours = Ours(settings(), lambda packed: None, lambda: around)
        self.assertEqual(
            [ours.is_inside(ip_address(each).packed) for each in ("192.168.0.1", "192.168.0.7", "10.1.1.1")],
            [True, False, False],
        )
        self.assertTrue(ours.is_guarded(ip_address("192.168.0.7").packed))
        self.assertFalse(ours.is_guarded(CLIENT))
        with patch.object(whose, "inside", lambda _: self.fail("gone through again")):
            self.assertTrue(ours.is_inside(HOST))
            self.assertFalse(ours.is_guarded(CLIENT))
        around = attrs.evolve(around, reached=(far,))
        self.assertTrue(ours.is_inside(ip_address("10.1.1.1").packed))
        ours.settings = settings(service="203.0.113.5")
        self.assertTrue(ours.is_guarded(CLIENT))

    def test_who_has_begun_a_flow_with_whom(self) -> None:
        """Hosts that ask the gateway itself are inside, and so is the gateway."""
        ours = Ours(settings(), lambda packed: None, lambda: AROUND)
        for first, answer, way in (
            (CLIENT, HOST, Way.IN), (CLIENT, GATEWAY.packed, Way.GATEWAY), (HOST, GATEWAY.packed, Way.OUT),
            (HOST, CLIENT, Way.OUT), (GATEWAY.packed, CLIENT, Way.OUT), (GATEWAY.packed, GATEWAY.packed, Way.OUT),
        ):  # fmt: skip
            self.assertIs(ours.way(into(first, POOL, answer).tracked), way, (first, answer))

    def test_the_web_proxy_is_where_it_serves(self) -> None:
        """By TCP, at addresses of the service pool; nowhere where there is none."""
        made = settings(service=str(GATEWAY))
        ours = Ours(made, lambda packed: None, lambda: AROUND)
        self.assertFalse(ours.is_proxied(to_gateway().tracked.reply))
        ours.settings = attrs.evolve(made, webproxy=Webproxy(enabled=True, runs_as=(1, 1)))
        self.assertTrue(ours.is_proxied(to_gateway(443).tracked.reply))
        self.assertFalse(ours.is_proxied(to_gateway(53).tracked.reply))
        self.assertFalse(ours.is_proxied(attrs.evolve(to_gateway().tracked.reply, protocol=17)))
        self.assertFalse(ours.is_proxied(into().tracked.reply))
