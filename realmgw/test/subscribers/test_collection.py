"""Tests for `realmgw.subscribers.collection`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.document import Problems, parse
from realmgw.subscribers.collection import Collection, Realm
from realmgw.subscribers.schema import Entry, entries
from realmgw.test.config.test_schema import MINIMAL
from realmgw.test.config.test_schema import settings as read


class RealmTests(SynchronousTestCase):
    """`Realm` knows what subscribers may say beside the gateway's settings."""

    def setUp(self) -> None:
        """The realm of a gateway without a service pool."""
        text = MINIMAL.replace("dns: {", "dns: {lan: {listen: [192.168.0.1]}, ").replace(
            "contact: admin.example.org}",
            "contact: admin.example.org}, x.example.org: {aliases: true}",
        )
        self.realm = Realm.of(read(text))

    def add(self, *files: str) -> tuple[list[str], tuple[Entry, ...]]:
        """What is wrong with some files, and what could be used."""
        collection = Collection(self.realm)
        lines: list[str] = []
        for text in files:
            problems = Problems("f")
            root = parse(text.encode(), problems)
            assert root is not None
            collection.add(entries(root, problems), problems)
            lines += problems.lines()
        return lines, collection.entries

    def test_hosts_do_not_have_the_gateways_addresses(self) -> None:
        """Neither those where it listens nor those of its pool."""
        [own], _ = self.add("a.example.org: {address: 192.168.0.1}")
        self.assertEqual(own, "f:1:26: 192.168.0.1 is the gateway's own address: write the host's")
        [wan], _ = self.add("a.example.org: {address: 192.0.2.1}")
        self.assertIn("192.0.2.1 is the gateway's own address", wan)
        [pool], _ = self.add("a.example.org: {address: 198.51.100.7}")
        self.assertIn("198.51.100.7 is an address of the circular pool", pool)

    def test_the_gateway_itself_may_be_listed(self) -> None:
        """Existing collections do so, without any service."""
        lines, found = self.add("gw.example.org.: {ID: {FQDN: [gw.example.org.], IPV4: [192.0.2.1]}}")
        self.assertEqual((lines, len(found)), ([], 1))

    def test_a_proxy_needs_the_service_pool(self) -> None:
        """Told at the service."""
        text = "a.example.org: {address: 192.168.0.9, services: {w.example.org: {proxy_required: true}}}"
        [line], _ = self.add(text)
        self.assertTrue(line.startswith("f:1:50: w.example.org. needs the service pool"))
        self.realm = Realm.of(read(MINIMAL.replace("pools: {", "pools: {service: [192.0.2.1], ")))
        self.assertEqual(self.add(text)[0], [])

    def test_a_zone_of_aliases_has_no_services(self) -> None:
        """Their names come and go by themselves."""
        [line], _ = self.add("a.x.example.org: {address: 192.168.0.9}")
        self.assertEqual(
            line,
            "f:1:1: a.x.example.org. lies within a zone of one-time aliases: write a name within example.org.",
        )

    def test_tells_the_same_of_an_entry_by_itself(self) -> None:
        """As a repository has it, without lines."""
        root = parse(b"a.example.net: {address: 192.0.2.1}", Problems("f"))
        assert root is not None
        [entry] = entries(root, Problems("f"))
        self.assertEqual(len(list(self.realm.contradictions(entry))), 2)
