"""Tests for `realmgw.subscribers.fastpath.by_shape`: whatever is read the quick way says what the full reading says."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Any

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config import pointers
from realmgw.config.addresses import NOWHERE
from realmgw.config.document import Mapping, Problems, parse
from realmgw.config.steps import finish
from realmgw.subscribers.exchange import subscriber
from realmgw.subscribers.fastpath.by_shape import (
    FREQUENT,
    MAX_SHAPES,
    MAX_VARIANTS,
    MOST_PROBED,
    MOST_READ,
    ByShapeReader,
)
from realmgw.subscribers.files.incremental import Unit, read
from realmgw.subscribers.tools.writing import written
from realmgw.test.subscribers.examples import ENTRIES

ESTABLISHED = """\
ue1.example.org.:
    # number 1.1
    ID:
        FQDN:   ['ue1.example.org.', other1.example.org]
        IPV4:   ['192.168.0.1', 192.168.1.1]
        MSISDN: ['+358145000001']
        IMSI:   '244070000000001'
    GROUP:
        - IPS_GROUP_PREPAID3
    CIRCULARPOOL:
        - {max: 3 }
    SFQDN:
        - {fqdn:     'ue1.example.org.',  proxy_required: false, carriergrade: false                            }
        - {fqdn: "ssh.ue1.example.org.",  proxy_required: false, protocol: 6, port: 22, timeout: 2.5 }
        - {fqdn: ping.ue1.example.org., protocol: 1, port: 0}
    CARRIERGRADE:
        - {ipv4: 192.168.7.1}
    FIREWALL:
        FIREWALL_ADMIN:
            - {priority: 0, direction: EGRESS, protocol: 17, udp: {dport: 53}, target: REJECT}
"""
PLAIN = """\
web1.example.org:
  other_addresses: [192.168.2.1]
  address: 192.168.0.1
  max_claims: 20
  msisdn: 358145000001
  other_names: [web1a.example.org]
  services:
    web1.example.org: {protocol: tcp}
    ssh.web1.example.org: {protocol: tcp, port: 22}
    any.web1.example.org:
"""
SHORT = "h1.example.org: {address: 192.168.0.1}\n"
MAPPED = """\
'ue1.example.org':
  id: {ipv4: [192.168.0.1], username: a.b}
  circularpool: {max: 3}
  sfqdn: []
"""
DUAL = """\
ue1.example.org.:
    ID: {FQDN: [ue1.example.org.], IPV6: [fd00::1:1, '2001:DB8::1:1'], IPV4: [192.168.0.1, 192.168.1.1]}
    SFQDN: [{fqdn: ue1.example.org.}]
"""
LISTED = """\
web1.example.org:
  address: [fd00:0:0:1::1:1, 192.168.0.1]
  other_addresses: [2001:db8:1:2:3:4:5:1, 192.168.2.1, "fd00::1:1"]
  ipv6: pinhole
"""
SIX = "h1.example.org: {address: fd00::1:1}\n"
TEXTS = (ESTABLISHED, PLAIN, SHORT, MAPPED, DUAL, LISTED, SIX)
WORD = re.compile(r"[A-Za-z0-9_.+-]*[0-9.][A-Za-z0-9_.+-]*|[0-9A-Fa-f]+:[0-9A-Fa-f:]+[0-9A-Fa-f]")


def said(text: str, shapes: ByShapeReader) -> Any:
    """What a file says, its problems among it."""
    unit: Unit = finish(read("f.yaml", text.encode(), None, shapes))
    found = {name: attrs.astuple(entry, recurse=False) for name, entry in unit.entries.items()}
    return found, tuple(unit.tokens), unit.problems


def renamed(text: str, number: int) -> str:
    """The text of another subscriber."""
    text = text.replace("192.168.0.1", f"192.168.3.{number % 250}").replace("::1:1", f"::1:{number:x}")
    return re.sub(r"\b(ue|web|other|h)1", rf"\g<1>{number}", text)


REPLACEMENTS = st.sampled_from(
    [
        "ue7.example.org.", "UE7.Example.ORG", "-a.example.org", "a..example.org", "a_.example.org.", "7.", "7", "0",
        "007", "70000", "22", "3.5", "192.168.0.9", "192.168.0.09", "224.0.0.1", "0.0.0.0", "255.255.255.255", "1.2.3",
        "358145000009", "12", "1000001", "1e3", "x." + "y" * 63 + ".z", "x." + "y" * 64 + ".z", "a." * 126 + "b",
        "a." * 127 + "b", "a." * 128, "9" * 30, "1.e-", "z9_",
        "fd00::9", "FD00::A:b", "fe80::1", "febf::1", "fec0::1", "ff02::1", "::1", "::ffff:192.0.2.1", "100::1",
        "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::8", "1:2:3:4:5:6::8", "a::b::c", "a:::b", "fd00::12345", "fd00::", "a:b:c",
        "101::1", "12:30:45", "0fd0::00a", "::ffff:0:1", "fd00::1%e0", "fd00::1/64", "fd00::1.2",
    ]
)  # fmt: skip
SIGNS = st.text(st.sampled_from(list("'\"{}[]:,#-|>&*!%?\\ \n\t.1a+\r\u00e9\u2028")), max_size=3)


@st.composite
def variations(draw: st.DrawFn) -> list[str]:
    """Subscribers that look alike, but for words that were exchanged, and now and then something else."""
    text = draw(st.sampled_from(TEXTS))
    made = []
    for number in range(draw(st.integers(3, 6))):
        varied = renamed(text, number + 2)
        for _ in range(draw(st.integers(0, 3))):
            places = list(WORD.finditer(varied))
            place = places[draw(st.integers(0, len(places) - 1))]
            varied = varied[: place.start()] + draw(REPLACEMENTS) + varied[place.end() :]
        if draw(st.integers(0, 5)) == 0:
            at = draw(st.integers(0, len(varied)))
            varied = varied[:at] + draw(SIGNS) + varied[at + draw(st.integers(0, 2)) :]
        made.append(varied)
    return made


def documents(texts: list[str]) -> list[tuple[str, object]]:
    """Files as documents of a repository."""
    roots = [parse(text.encode(), Problems("")) for text in texts]
    pairs = [pair for root in roots if isinstance(root, Mapping) for pair in root.pairs.items()]
    return [(name.lower().rstrip(".") + ".", pointers.value(value)) for name, (_, value) in pairs]


class SharingTests(SynchronousTestCase):
    """Options are values that many have."""

    def test_hosts_and_services_of_which_the_same_is_said_share_it(self) -> None:
        """By shape, too: whatever limits and ports there are, they are a few."""
        shapes, many = ByShapeReader(), 100
        texts = (
            renamed(PLAIN, number).replace(": 20", f": {number % 5}").replace(": 22", f": {number % 5}")
            for number in range(many)
        )
        unit = finish(read("f.yaml", "".join(texts).encode(), None, shapes))
        self.assertEqual(len(unit.entries), many)
        self.assertGreater(shapes.taken, many // 2)
        for shared in (
            [entry.profile for entry in unit.entries.values()],
            [offer.terms for entry in unit.entries.values() for offer in entry.services or ()],
        ):
            self.assertLess(len(set(map(id, shared))), 2 * len(set(shared)) + 1)


class DocumentTests(SynchronousTestCase):
    """Documents of a repository, which are read by their shape where there are many."""

    def test_say_the_same_as_by_the_full_reading(self) -> None:
        """And most are read the quick way."""
        for text in TEXTS:
            shapes = ByShapeReader()
            for name, value in documents([renamed(text, number) for number in range(1, 3 * FREQUENT)]):
                self.assertEqual(_told(subscriber(name, value, shapes)), _told(subscriber(name, value)))
            self.assertGreaterEqual(shapes.taken, 3 * FREQUENT - 9, text)

    @settings(max_examples=200, deadline=None)
    @given(variations())
    def test_say_the_same_whatever_is_in_them(self, texts: list[str]) -> None:
        """Faults are told by the same words and pointers."""
        shapes = ByShapeReader()
        for name, value in documents([*texts, *texts]):
            self.assertEqual(_told(subscriber(name, value, shapes)), _told(subscriber(name, value)))


def _told(found: tuple[Any, Any]) -> Any:
    entry, faults = found
    return None if entry is None else attrs.astuple(entry, recurse=False), faults


class ShapesTests(SynchronousTestCase):
    """The quick way through a file."""

    def test_says_the_same_as_the_full_reading_of_pieces_that_look_alike(self) -> None:
        """Whatever is exchanged in them; and most are read the quick way."""
        for text in TEXTS:
            shapes = ByShapeReader()
            for number in range(1, 3 * FREQUENT):
                piece = renamed(text, number)
                self.assertEqual(said(piece, shapes), said(piece, ByShapeReader()))
            self.assertGreaterEqual(shapes.taken, 3 * FREQUENT - 5, text)

    @settings(max_examples=400, deadline=None)
    @given(variations())
    def test_says_the_same_as_the_full_reading_of_anything(self, texts: list[str]) -> None:
        """Wrong values are told by the same words at the same place."""
        shapes = ByShapeReader()
        for text in (*texts, *texts):
            self.assertEqual(said(text, shapes), said(text, ByShapeReader()), text)

    @settings(max_examples=50, deadline=None)
    @given(st.lists(ENTRIES, min_size=2, max_size=4))
    def test_says_the_same_of_what_the_gateway_writes_itself(self, entries: list[Any]) -> None:
        """As `realmgw migrate` does."""
        shapes = ByShapeReader()
        for entry in (*entries, *entries):
            text = written([entry])
            self.assertEqual(said(text, shapes), said(text, ByShapeReader()))

    def test_tries_few_fields_and_short_pieces(self) -> None:
        """Whether they matter: each time a piece is read in full, and packets wait."""
        tried, learn = list[int](), ByShapeReader.learn

        def counted(reader: ByShapeReader, piece: bytes, root: Any, entry: Any, full: Any) -> None:
            def again(other: bytes) -> Any:
                tried.append(len(other))
                return full(other)

            learn(reader, piece, root, entry, again)

        self.patch(ByShapeReader, "learn", counted)
        for count in (1, 3, 40, 400, 4000):
            shapes = ByShapeReader()
            tried.clear()
            for number in range(1, 7):
                words = " ".join(f"v{number}.{each}" for each in range(count))
                said(f"h{number}.example.org: {{address: 192.168.0.{number}}} # {words}\n", shapes)
            self.assertLessEqual(len(tried), 2 * MOST_PROBED, count)
            self.assertLessEqual(sum(tried), 6 * MOST_READ, count)
            self.assertIs(bool(tried), count < 4000, count)

    def test_refuses_addresses_that_the_full_reading_refuses(self) -> None:
        """Of a host, and further ones: the first and the last of each network that no host is in, and those beside."""
        networks = (*NOWHERE, *map(ip_network, ("224.0.0.0/4", "255.255.255.255/32", "::/128", "::1/128")))
        ends = {(network.version, int(end)) for network in networks for end in (network[0], network[-1])}
        near = {(version, end + step) for version, end in ends for step in (-1, 0, 1) if end + step >= 0}
        for version, text, usual in ((4, SHORT, "192.168.0.1"), (4, LISTED, "192.168.2.1"), (6, SIX, "fd00::1:1"),
                                     (6, LISTED, "2001:db8:1:2:3:4:5:1")):  # fmt: skip
            shapes, make = ByShapeReader(), IPv4Address if version == 4 else IPv6Address
            for number in range(1, 5):
                said(renamed(text, number), shapes)
            before = shapes.taken
            for number in (end for family, end in near if family == version and end < 1 << make(0).max_prefixlen):
                piece = text.replace(usual, str(make(number)))
                self.assertEqual(said(piece, shapes), said(piece, ByShapeReader()), piece)
            self.assertGreater(shapes.taken, before, text)

    def test_leaves_a_name_that_stands_twice_to_the_full_reading(self) -> None:
        """Which tells where."""
        shapes = ByShapeReader()
        for number in range(1, 9):
            said(renamed(PLAIN, number), shapes)
        [problem] = said(renamed(PLAIN, 9).replace("any.web", "SSH.web"), shapes)[2]
        self.assertTrue(problem.startswith("f.yaml:10:5: "), problem)

    def test_takes_ports_and_limits_from_the_piece(self) -> None:
        """Every subscriber may have others."""
        shapes = ByShapeReader()
        for port in range(1, 60):
            piece = renamed(PLAIN, port).replace("22", str(port * 1000)).replace("20", str(port))
            self.assertEqual(said(piece, shapes), said(piece, ByShapeReader()))
        self.assertGreaterEqual(shapes.taken, 50)

    def test_leaves_a_port_of_icmp_to_the_full_reading(self) -> None:
        """Which tells that there is none."""
        shapes = ByShapeReader()
        for number in range(1, 9):
            said(renamed(ESTABLISHED, number), shapes)
        [problem] = said(renamed(ESTABLISHED, 9).replace("port: 0", "port: 7"), shapes)[2]
        self.assertIn("ICMP has no ports", problem)

    def test_finds_out_which_words_do_not_matter(self) -> None:
        """Comments and what nobody reads may be different everywhere."""
        shapes = ByShapeReader()
        for number in range(1, 99):
            piece = renamed(ESTABLISHED, number).replace("1.1", f"1.{number}").replace("24407", f"24407{number}")
            self.assertEqual(said(piece, shapes), said(piece, ByShapeReader()))
        self.assertGreaterEqual(shapes.taken, 98 - 5)

    def test_remembers_a_limited_number_of_shapes(self) -> None:
        """All of them are forgotten then, and those that come again are learned again."""
        shapes = ByShapeReader()
        for number in range(MAX_SHAPES + 10):
            said(SHORT.replace("address", " " * number + "address"), shapes)
        for number in range(1, 9):
            piece = renamed(SHORT, number)
            self.assertEqual(said(piece, shapes), said(piece, ByShapeReader()))
        self.assertGreaterEqual(shapes.taken, 5)

    def test_remembers_a_limited_number_of_variants(self) -> None:
        """Of what stands where no subscriber differs from the others usually."""
        shapes = ByShapeReader()
        for number in range(1, 3 * MAX_VARIANTS):
            piece = renamed(ESTABLISHED, number).replace("192.168.7.1", f"192.168.7.{number}")
            self.assertEqual(said(piece, shapes), said(piece, ByShapeReader()))
