"""Tests for `realmgw.subscribers.schema`."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import attrs
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.document import Problems, parse
from realmgw.config.ipv6 import Ipv6Mode
from realmgw.config.validators import keys_of
from realmgw.subscribers.entry import Entry
from realmgw.subscribers.model import DEFAULT_MAX_CLAIMS, Host, Identity, Profile, Service, Terms
from realmgw.subscribers.schema import entries

ESTABLISHED = """
Ue001.example.org.:
    ID:
        FQDN:   ['Ue001.example.org.', 'alias.example.org.']
        IPV4:   ['192.168.0.1']
        MSISDN: ['358145000001']
    GROUP:
        - IPS_GROUP_PREPAID3
    CIRCULARPOOL:
        - {max: 3 }
    SFQDN:
        - {fqdn:     'ue001.example.org.', proxy_required: false, carriergrade: false }
        - {fqdn: 'www.ue001.example.org.', proxy_required: true , carriergrade: true }
        - {fqdn: 'ssh.ue001.example.org.', protocol: 6, port: 22, loose_packet: -1, autobind: false, timeout: 1.5 }
    CARRIERGRADE:
        - {ipv4: 192.168.0.11}
        - {ipv4: 192.168.0.12}
    FIREWALL:
        FIREWALL_ADMIN:
            - {'priority': 0, 'direction': 'EGRESS', 'udp':{'dport': '53'}, 'target': 'REJECT'}
"""
HOST = Host(1, "h.example.org.", bytes(4), Profile(1))


class EntriesTestCase(SynchronousTestCase):
    """Reads texts as subscriber files."""

    def read(self, text: str) -> list[Entry]:
        """The entries of a text without problems."""
        problems = Problems("f")
        root = parse(text.encode(), problems)
        assert root is not None
        found = entries(root, problems)
        self.assertEqual(problems.lines(), ())
        return found

    def services(self, entry: Entry) -> dict[str, Service]:
        """The services of an entry, for some host."""
        found = [Service(offer.name, HOST, offer.terms) for offer in entry.services or ()]
        return {service.name: service for service in found}

    def assert_refused(self, text: str, *messages: str) -> None:
        """The text has these problems and no others."""
        problems = Problems("f")
        root = parse(text.encode(), problems)
        assert root is not None
        self.assertEqual(entries(root, problems), [])
        self.assertEqual(len(problems.lines()), len(messages), problems.lines())
        for line, message in zip(problems.lines(), messages, strict=True):
            self.assertIn(message, line)


class EstablishedStyleTests(EntriesTestCase):
    """Files as existing collections have them."""

    def test_reads_every_key(self) -> None:
        """What the firewall says is tested where it is read."""
        [entry] = self.read(ESTABLISHED)
        self.assertEqual((entry.name, entry.address), ("ue001.example.org.", IPv4Address("192.168.0.1")))
        self.assertEqual((entry.profile.max_claims, entry.profile.groups), (3, ("IPS_GROUP_PREPAID3",)))
        self.assertEqual(entry.identity, Identity(("alias.example.org.",), (), ("358145000001",)))
        self.assertEqual(entry.profile.carriergrade, (IPv4Address("192.168.0.11"), IPv4Address("192.168.0.12")))
        self.assertEqual([rule.priority for rule in entry.profile.firewall.admin], [0])
        services = self.services(entry)
        self.assertEqual(list(services), [f"{label}ue001.example.org." for label in ("", "www.", "ssh.")])
        plain, www, ssh = services.values()
        self.assertEqual(
            (plain.terms.protocol, plain.terms.port, plain.terms.proxy_required, plain.terms.timeout),
            (0, 0, False, 2.0),
        )
        self.assertEqual((plain.terms.loose_packet, plain.terms.autobind, plain.terms.carriergrade), (0, True, False))
        self.assertEqual((www.terms.proxy_required, www.terms.carriergrade), (True, True))
        self.assertEqual(
            (ssh.terms.protocol, ssh.terms.port, ssh.terms.loose_packet, ssh.terms.autobind, ssh.terms.timeout),
            (6, 22, -1, False, 1.5),
        )

    def test_keys_may_be_in_lower_case(self) -> None:
        """All of them."""
        [upper], [lower] = self.read(ESTABLISHED), self.read(
            "ue001.example.org.: {id: {fqdn: [ue001.example.org.], ipv4: [192.168.0.1]}, group: [IPS_GROUP_PREPAID3],"
            " circularpool: {max: 3}, sfqdn: [{FQDN: www.ue001.example.org, Proxy_Required: TRUE}], firewall: {}}"
        )  # fmt: skip
        self.assertEqual(
            (lower.name, lower.address, lower.profile.groups), (upper.name, upper.address, upper.profile.groups)
        )
        self.assertEqual(lower.profile.max_claims, 3)
        self.assertEqual([service.terms.proxy_required for service in self.services(lower).values()], [True])

    def test_without_circularpool_the_default_counts(self) -> None:
        """And without FQDN the key is the name, without SFQDN there are no services."""
        [entry] = self.read("ue001.example.org.: {ID: {IPV4: [192.168.0.1]}}")
        self.assertEqual((entry.name, entry.profile.max_claims), ("ue001.example.org.", DEFAULT_MAX_CLAIMS))
        self.assertEqual((entry.profile.groups, self.services(entry)), ((), {}))

    def test_a_host_may_have_several_names_addresses_and_numbers(self) -> None:
        """The first address is where its flows go."""
        [entry] = self.read(
            "ue1.example.org.: {ID: {FQDN: [ue1.example.org, b.example.org], IPV4: [192.168.0.1, 192.168.0.2], "
            "MSISDN: '+358145000001'}, CARRIERGRADE: {ipv4: 192.168.0.3}}"
        )
        self.assertEqual((entry.name, entry.address), ("ue1.example.org.", IPv4Address("192.168.0.1")))
        self.assertEqual(entry.identity, Identity(("b.example.org.",), (bytes([192, 168, 0, 2]),), ("+358145000001",)))
        self.assertEqual(entry.profile.carriergrade, (IPv4Address("192.168.0.3"),))

    def test_a_host_may_have_addresses_of_ipv6(self) -> None:
        """With one of IPv4, or alone; the first one is where its flows go. Who has none may say so."""
        both = "{IPV4: [192.168.0.1, 192.168.0.2], IPV6: ['fd00::1', 'fd00::2']}"
        for written, address, address6, others in (
            (both, IPv4Address("192.168.0.1"), IPv6Address("fd00::1"), ("192.168.0.2", "fd00::2")),
            ("{IPV6: ['fd00::1', 'fd00::2']}", None, IPv6Address("fd00::1"), ("fd00::2",)),
            ("{IPV4: [192.168.0.1], IPV6: }", IPv4Address("192.168.0.1"), None, ()),
            ("{IPV4: [], IPV6: ['fd00::1']}", None, IPv6Address("fd00::1"), ()),
        ):
            [entry] = self.read(f"ue1.example.org.: {{ID: {written}}}")
            self.assertEqual((entry.address, entry.address6), (address, address6))
            self.assertEqual(entry.identity.addresses, tuple(ip_address(each).packed for each in others))

    def test_refuses_other_lists_of_addresses_and_limits(self) -> None:
        """A host has an address, and one limit."""
        for nothing in ("{IPV4: []}", "{FQDN: [a.example.org]}", "{IPV4: [], IPV6: []}"):
            self.assert_refused(
                f"a.example.org: {{ID: {nothing}}}", "there is no address: write 'ipv4', 'ipv6' or both"
            )
        self.assert_refused("a.example.org: {ID: {IPV4: ['fd00::1']}}", "'fd00::1' is an IPv6 address")
        self.assert_refused("a.example.org: {ID: {IPV6: [192.168.0.1]}}", "'192.168.0.1' is an IPv4 address")
        self.assert_refused("a.example.org: {ID: {IPV6: ['fe80::1%eth0']}}", "write it without '%...'")
        self.assert_refused(
            "a.example.org: {ID: {IPV4: [192.168.0.1]}, CIRCULARPOOL: [{max: 1}, {max: 2}]}", "the list has 2 items"
        )

    def test_refuses_unknown_keys_with_a_suggestion(self) -> None:
        """On every level."""
        self.assert_refused(
            ESTABLISHED.replace("GROUP:", "GROUPS:", 1).replace("MSISDN", "MSISND").replace("port:", "prot:"),
            "did you mean 'msisdn'?",
            "did you mean 'group'?",
            "the key 'prot' is not known",
        )

    def test_refuses_bad_services(self) -> None:
        """Each told at its place."""
        for service, message in (
            ("{protocol: 6}", "the key 'fqdn' is missing"),
            ("{fqdn: a.example.org, protocol: 256}", "write a number from 0 to 255"),
            ("{fqdn: a.example.org, protocol: quic}", "any, icmp, tcp, udp, sctp"),
            ("{fqdn: a.example.org, protocol: [6]}", "a list stands here"),
            ("{fqdn: a.example.org, port: 65536}", "from 0 to 65535"),
            ("{fqdn: a.example.org, protocol: 1, port: 5}", "ICMP has no ports"),
            ("{fqdn: a.example.org, loose_packet: -2}", "from -1 to"),
            ("{fqdn: a.example.org, timeout: 0}", "from 0.1 to"),
        ):
            self.assert_refused(f"a.example.org: {{ID: {{IPV4: [192.168.0.1]}}, SFQDN: [{service}]}}", message)


class PlainStyleTests(EntriesTestCase):
    """Files as we write them."""

    def test_a_host_is_reached_by_its_own_name(self) -> None:
        """Unless it says otherwise."""
        [entry] = self.read("A.example.org: {address: 192.168.0.1}")
        [service] = self.services(entry).values()
        self.assertEqual((service.name, service.terms.protocol, service.terms.port), ("a.example.org.", 0, 0))
        self.assertEqual((entry.profile.max_claims, entry.profile.groups), (DEFAULT_MAX_CLAIMS, ()))

    def test_services_stand_under_their_names(self) -> None:
        """Protocols by name or number."""
        [entry] = self.read(
            "a.example.org: {address: 192.168.0.1, max_claims: 0, groups: [x, y], services: "
            "{a.example.org: , b.example.org: {protocol: UDP}, c.example.org: {protocol: 132, port: 9}}}"
        )
        self.assertEqual((entry.profile.max_claims, entry.profile.groups), (0, ("x", "y")))
        found = [
            (service.name, service.terms.protocol, service.terms.port) for service in self.services(entry).values()
        ]
        self.assertEqual(found, [("a.example.org.", 0, 0), ("b.example.org.", 17, 0), ("c.example.org.", 132, 9)])

    def test_everything_that_the_established_style_says_has_its_key(self) -> None:
        """In other words."""
        [entry] = self.read(
            "a.example.org: {address: 192.168.0.1, other_names: [b.example.org], other_addresses: [192.168.0.2], "
            "msisdn: ['358145000001'], carriergrade: [192.168.0.3], "
            "firewall: {user: [{priority: 1, direction: egress, target: drop}]}}"
        )
        self.assertEqual(entry.identity, Identity(("b.example.org.",), (bytes([192, 168, 0, 2]),), ("358145000001",)))
        self.assertEqual(entry.profile.carriergrade, (IPv4Address("192.168.0.3"),))
        self.assertEqual(len(entry.profile.firewall.user), 1)

    def test_every_option_has_its_key(self) -> None:
        """A field without one could not be written."""
        for made in (Profile, Terms):
            self.assertEqual(set(keys_of(made)), set(attrs.fields_dict(made)))

    def test_services_with_the_same_terms_share_them(self) -> None:
        """There are a hundred thousand subscribers, and they are reached in a few ways."""
        [a, b] = self.read("a.example.org: {address: 192.168.0.1}\nb.example.org: {address: 192.168.0.2}")
        assert a.services is not None
        assert b.services is not None
        self.assertIs(a.services[0].terms, b.services[0].terms)
        self.assertIs(a.profile, b.profile)

    def test_a_host_has_an_address_of_either_family_or_of_both(self) -> None:
        """In any order; further ones are of any family."""
        four, six = IPv4Address("192.168.0.1"), IPv6Address("fd00::1")
        for written, expected in (
            ("192.168.0.1", (four, None)),
            ("fd00::1", (None, six)),
            ("[192.168.0.1, 'fd00::1']", (four, six)),
            ("['FD00:0::1', 192.168.0.1]", (four, six)),
            ("['fd00::1']", (None, six)),
        ):
            [entry] = self.read(f"a.example.org: {{address: {written}, other_addresses: [192.168.0.9, 'fd00::9']}}")
            self.assertEqual((entry.address, entry.address6), expected)
            self.assertEqual(entry.identity.addresses, (bytes([192, 168, 0, 9]), IPv6Address("fd00::9").packed))

    def test_refuses_addresses_that_no_host_has(self) -> None:
        """Two of one family, none, and those that lead nowhere."""
        for written, said in (
            ("[192.168.0.1, 192.168.0.2]", "192.168.0.1 and 192.168.0.2 are both IPv4: write one of each family"),
            ("['fd00::1', 'fd00::2']", "fd00::1 and fd00::2 are both IPv6: write one of each family"),
            ("[]", "the list has 0 items: write one IPv4 address, one IPv6 address, or one of each"),
            ("", "there is no value: write one"),
            ("'fe80::1%eth0'", "'fe80::1%eth0' names an interface"),
            ("'::ffff:192.0.2.1'", "write 192.0.2.1"),
            ("ff02::1", "of a group of hosts"),
            ("'::1'", "is every machine itself"),
            ("'::'", "stands for every address"),
            ("{a: b}", "a mapping stands here"),
            ("'2001:db8::/64'", "is no address"),
        ):
            self.assert_refused(f"a.example.org: {{address: {written}}}", said)

    def test_a_host_says_how_it_is_answered_with_ipv6(self) -> None:
        """In both styles; without quotes as well, whatever YAML takes the word for."""
        for mode in Ipv6Mode:
            for text in (
                f"a.example.org: {{address: 'fd00::1', ipv6: {mode.value}}}",
                f"a.example.org: {{ID: {{IPV6: ['fd00::1']}}, IPV6: {mode.value}}}",
            ):
                [entry] = self.read(text)
                self.assertIs(entry.profile.ipv6, mode)
        self.assert_refused("a.example.org: {address: 'fd00::1', ipv6: yes}", "write pool or pinhole or off")

    def test_a_host_may_have_no_services(self) -> None:
        """By an empty mapping."""
        [entry] = self.read("a.example.org: {address: 192.168.0.1, services: {}}")
        self.assertEqual(self.services(entry), {})

    def test_tells_every_problem(self) -> None:
        """Of every host."""
        self.assert_refused(
            "a.example.org: {adress: 192.168.0.1}\nb.example.org: {address: fe80::1}\nc c: {address: 192.168.0.1}",
            "f:1:16: the key 'address' is missing",
            "f:1:17: the key 'adress' is not known: did you mean 'address'?",
            "f:2:26: 'fe80::1' is an address that no router forwards to (RFC 4291)",
            "f:3:1: 'c c' is no domain name",
        )

    def test_a_file_may_be_empty_but_no_list(self) -> None:
        """An empty one has no hosts."""
        self.assertEqual(self.read("---\n"), [])
        self.assert_refused("[a]", "f:1:1: a list stands here: write a mapping, one key for each host")
