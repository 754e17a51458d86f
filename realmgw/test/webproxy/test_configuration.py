"""Tests for `realmgw.webproxy.configuration`: golden text; that HAProxy takes it is asked in realmgw.test.kernel."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path, PurePath
from typing import Any

import attrs
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.settings import Webproxy
from realmgw.config.webproxy import Health
from realmgw.webproxy.configuration import Place, map_text, text

GOLDEN = Path(__file__).with_name("golden.cfg")
PLACE = Place("webproxy-0123", 108, 110)
ADDRESSES = ip_address("192.0.2.130"), ip_address("2001:db8::130")


class ConfigurationTests(SynchronousTestCase):
    """What HAProxy is told at the beginning."""

    def test_is_as_it_was_reviewed(self) -> None:
        """Whoever changes it looks at all of it."""
        self.assertEqual(text(Webproxy(enabled=True), ADDRESSES, PLACE), GOLDEN.read_text())

    def test_each_setting_has_effect(self) -> None:
        """Another value, another text; but for who starts it, and how."""
        usual = Webproxy()
        others: dict[str, Any] = {
            "http_port": 8080, "https_port": 8443, "connections": 7, "connections_per_client": 7,
            "request_timeout": 7.0, "connect_timeout": 7.0, "idle_timeout": 7.0, "tunnel_timeout": 7.0,
            "certificates": PurePath("certificates"), "health": Health(timeout=7.0),
        }  # fmt: skip
        for name, value in others.items():
            changed = attrs.evolve(usual, **{name: value})
            self.assertNotEqual(text(changed, ADDRESSES, PLACE), text(usual, ADDRESSES, PLACE), name)
        elsewhere = {"enabled", "program", "user", "runs_as"}
        self.assertEqual({each.name for each in attrs.fields(Webproxy)}, {*others, *elsewhere})
        for health in (Health(timeout=7.0), Health(status="204"), Health(most=7)):  # the others are of each server
            changed = attrs.evolve(usual, health=health)
            self.assertNotEqual(text(changed, ADDRESSES, PLACE), text(usual, ADDRESSES, PLACE), health)

    def test_a_redirect_names_the_port_unless_it_is_the_usual_one(self) -> None:
        """Browsers would not find it."""
        self.assertIn("https://%[var(txn.name)]%[pathq]", text(Webproxy(), ADDRESSES, PLACE))
        self.assertIn("https://%[var(txn.name)]:8443%[pathq]", text(Webproxy(https_port=8443), ADDRESSES, PLACE))

    def test_the_map_has_a_line_for_each_name(self) -> None:
        """And is empty without any."""
        self.assertEqual(
            map_text({"a.example.org": "1/2", "b.example.org": "3/4"}), "a.example.org 1/2\nb.example.org 3/4\n"
        )
        self.assertEqual(map_text({}), "")
