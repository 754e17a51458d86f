"""Tests for `realmgw.alerts.eve`."""

from __future__ import annotations

import contextlib
import json
import sys
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.alerts import eve
from realmgw.alerts.eve import LONGEST_TEXT, NO_FLOW, Alert, Flow, after_cut, decode
from realmgw.errors import MalformedError

ALERT = {
    "action": "allowed", "gid": 1, "signature_id": 2019401, "rev": 3, "signature": "TEST exploit",
    "category": "Attempted Administrator Privilege Gain", "severity": 1,
}  # fmt: skip
SAID: dict[str, Any] = {
    "timestamp": "2026-01-01T00:00:00.000000+0000", "flow_id": 1, "event_type": "alert", "proto": "TCP",
    "src_ip": "203.0.113.5", "src_port": 4000, "dest_ip": "198.51.100.1", "dest_port": 80,
    "alert": ALERT,
}  # fmt: skip
GENUINE = Path(__file__).with_name("suricata-7.0.10.eve")
"""What a real one has written in the testbed, in its default configuration; the last two alerts by our drop-in."""
SOURCE, DESTINATION = bytes((203, 0, 113, 5)), bytes((198, 51, 100, 1))


def line(*, alert: dict[str, Any] | None = None, **changes: Any) -> bytes:
    """A line that differs in these; None: it lacks them."""
    about = {key: value for key, value in {**ALERT, **(alert or {})}.items() if value is not None}
    said = {**SAID, **changes, "alert": about}
    return json.dumps({key: value for key, value in said.items() if value is not None}).encode()


def flow(source: str, destination: str, protocol: int, sport: int = 0, dport: int = 0) -> Flow:
    """What a packet is of."""
    return ip_address(source).packed, ip_address(destination).packed, protocol, sport, dport


class GenuineTests(SynchronousTestCase):
    """What Suricata writes."""

    client6, pool6, host6 = "2001:db8:3:11::1", "2001:db8:2:0:7e20:8a08:5325:8527", "fd00::100"
    expected = (
        (1000001, flow(client6, pool6, 6, 40051, 80)),
        (1000003, flow("192.168.0.100", "100.64.3.11", 6, 80, 34873)),
        (1000004, flow("100.64.3.10", "100.64.1.130", 17, 44483, 53)),
        (1000004, flow("100.64.3.10", "100.64.1.130", 6, 44784, 53)),
        (1000007, flow("100.64.3.11", "192.168.0.100", 6, 53069, 80)),
        (1000005, flow("100.64.3.10", "100.64.1.131", 1)),
        (1000015, flow("2001:db8:3:10::1", host6, 58)),
        (1000006, flow("2001:db8:3:10::1", host6, 17, 46725, 2000)),
        (1000008, flow("2001:db8:3:10::1", host6, 132, 40343, 2000)),
        (2200000, NO_FLOW),
        (1000002, flow("100.64.1.131", "100.64.3.12", 6, 48642, 8080)),
        (1000001, flow("100.64.3.11", "192.168.0.100", 6, 34873, 80)),
        (1000003, flow(pool6, client6, 6, 80, 40051)),
    )

    def test_alerts_and_other_events(self) -> None:
        """Of HTTP, DNS and TLS, of datagrams and single packets, of a packet without addresses, of both families."""
        told = [decode(each) for each in GENUINE.read_bytes().splitlines()]
        self.assertEqual([(each.signature, each.flow) for each in told if each is not None], [*self.expected])
        self.assertEqual(told[len(self.expected) :], [None] * 5)
        first = told[0]
        assert first is not None
        self.assertEqual((first.text, first.category, first.severity), ("TEST http", "Web Application Attack", 1))


class DecodeTests(SynchronousTestCase):
    """What is read."""

    def test_an_alert(self) -> None:
        """What is needed of it."""
        self.assertEqual(
            decode(line()),
            Alert(2019401, "TEST exploit", str(ALERT["category"]), 1, (SOURCE, DESTINATION, 6, 4000, 80)),
        )

    def test_both_families_and_protocols_by_name_or_number(self) -> None:
        """Ports are those of protocols that have some."""
        told = decode(line(src_ip="2001:db8::5", dest_ip="2001:db8:1::1", proto="UDP"))
        assert told is not None
        self.assertEqual((len(told.flow[0]), told.flow[2:]), (16, (17, 4000, 80)))
        for name, number in (("ICMP", 1), ("IPv6-ICMP", 58), ("047", 47), ("GRE", 47), ("1", 1)):
            told = decode(line(proto=name, src_port=None, dest_port=None))
            assert told is not None
            self.assertEqual(told.flow[2:], (number, 0, 0))

    def test_other_events_are_none(self) -> None:
        """Whether they have the word in them or not."""
        for said in (b'{"event_type":"stats"}', b'{"event_type":"flow","flow":{"alerted":true},"x":"alert"}', b"{}"):
            self.assertIsNone(decode(said))

    def test_what_can_not_be_is_malformed(self) -> None:
        """Nothing else is raised."""
        for bad in (
            b"", b"x", b"[]", b'["alert"]', b'"alert"', line()[:-1], line()[1:], b"[" * 100_000 + b'"alert"',
            b'{"alert":' + b"9" * 5000 + b"}", b'\xff{"alert":1}', line(event_type="alert", alert={"severity": None}),
            line(src_ip="1" * 99),
            line(src_ip=None), line(src_ip="x"), line(src_ip=5), line(src_ip="fe80::1%eth0"), line(dest_ip="::1"),
            line(src_port=None), line(src_port=70000), line(src_port="80"), line(src_port=True), line(dest_port=-1),
            line(src_port=80.0), line(proto=None), line(proto="what"), line(proto="256"), line(proto=6),
            line(alert={"signature_id": 0}), line(alert={"signature_id": None}), line(alert={"severity": "1"}),
            line(alert={"signature": 5}), line(alert={"category": []}),
        ):  # fmt: skip
            with self.assertRaises(MalformedError, msg=bad[:80]):
                decode(bad)
        self.assertRaises(MalformedError, decode, json.dumps({**SAID, "alert": [1]}).encode())
        self.assertIsNone(decode(json.dumps({**SAID, "alert": [1], "event_type": "flow"}).encode()))

    def test_long_addresses_are_not_remembered(self) -> None:
        """Else some thousand lines would fill the memory."""
        before = eve._packed.cache_info().misses
        self.assertRaises(MalformedError, decode, line(src_ip="1" * 65))
        self.assertRaises(MalformedError, decode, line(dest_ip="1" * 65))
        self.assertEqual(eve._packed.cache_info().misses, before)

    @given(st.ip_addresses().map(str) | st.from_regex(r"[0-9]{1,3}(\.[0-9 +]{0,4}){1,4}", fullmatch=True))
    def test_addresses_are_read_as_everybody_reads_them(self, text: str) -> None:
        """However fast; a number with a zero before it is none."""
        try:
            expected: bytes | None = ip_address(text).packed
        except ValueError:
            expected = None
        self.assertEqual(eve._packed(text), expected)

    def test_texts_are_short_and_in_one_line(self) -> None:
        """Whoever writes signatures does not write to a terminal."""
        told = decode(line(alert={"signature": "a\x1b[2J\nb" + "c" * 10_000, "category": "\ud800\u202e\u2066"}))
        assert told is not None
        self.assertEqual((len(told.text), told.text[:8], told.category), (LONGEST_TEXT, "a [2J bc", " "))

    def test_what_is_printable_is_left_as_it_is(self) -> None:
        """And nothing of that is what a terminal acts upon."""
        every = map(chr, range(sys.maxunicode + 1))
        self.assertEqual([each for each in every if each.isprintable() and eve._CONTROL.search(each)], [])

    def test_a_line_behind_one_that_was_cut_off_is_found(self) -> None:
        """A socket that takes a part of a line has the next one behind it."""
        whole = line()
        for cut in (1, 20, len(whole) - 1):
            self.assertEqual(after_cut(whole[:cut] + whole), whole)
        self.assertEqual((after_cut(whole), after_cut(b"x")), (b"", b""))

    @given(st.binary(max_size=300) | st.binary(max_size=300).map(lambda some: b'{"alert"' + some))
    def test_whatever_comes(self, octets: bytes) -> None:
        """Is an alert, another event, or malformed."""
        with contextlib.suppress(MalformedError):
            decode(octets)

    @given(
        st.dictionaries(
            st.sampled_from(sorted(SAID)),
            st.none() | st.booleans() | st.integers() | st.text(max_size=9) | st.lists(st.integers(), max_size=2),
        )
    )
    def test_whatever_values_there_are(self, changes: dict[str, Any]) -> None:
        """Likewise; what is read fast is what would have been read otherwise."""
        octets = json.dumps({**SAID, **changes}).encode()
        with contextlib.suppress(MalformedError):
            decode(octets)
        with contextlib.suppress(ValueError):
            fast = eve._read(octets)
            if fast.event_type == "alert":
                self.assertEqual(fast, eve._read_patiently(octets))

    def test_values_that_nobody_asks_for_are_no_reason_to_give_an_alert_up(self) -> None:
        """Halves of characters, numbers that no machine has, NaN."""
        for value in (b'"\\ud800"', b"1e999", b"NaN", b"9" * 400, b"[" * 50 + b"]" * 50):
            self.assertEqual(decode(line()[:-1] + b',"x":' + value + b"}"), decode(line()), value)
        self.assertRaises(MalformedError, decode, line()[:-1] + b',"alert":[1]}')
