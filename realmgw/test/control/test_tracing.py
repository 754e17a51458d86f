"""Tests for `realmgw.control.tracing`, and of what the command prints of it."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from realmgw.control.command import passing
from realmgw.control.commands import COMMANDS, CommandError, ExitStatus, checked
from realmgw.control.streaming import Stream
from realmgw.control.tracing import Tracing
from realmgw.datapath.netlink.traces import Headers
from realmgw.datapath.tracing.packets import Met
from realmgw.datapath.tracing.port import End, Followed
from realmgw.test.control.parts import TestGateway

CLIENT = ip_address("198.51.100.7").packed
HOST = ip_address("192.168.0.1").packed
POOL = ip_address("192.0.2.3").packed


def datagram(to: bytes) -> Headers:
    """From the client."""
    return Headers(CLIENT, to, 17, 1024, 53)


class TracingTests(SynchronousTestCase):
    """Two subscribers, a.example.org and b.example.org."""

    def setUp(self) -> None:
        """The kernel follows what it is told to."""
        self.made = TestGateway(Path(self.mktemp()))
        self.asked: list[tuple[Any, ...]] = []
        self.stopped: list[None] = []
        self.tracing = Tracing(self.made.running, self.follow)

    def follow(self, *asked: Any) -> Deferred[Any]:
        """Notes it."""
        self.asked.append(asked)
        return succeed(lambda: self.stopped.append(None))

    def trace(self, **given: str) -> Stream:
        """What is asked for on a command line."""
        stream: Stream = self.successResultOf(self.tracing.trace(**checked(COMMANDS["trace"], given)))
        return stream

    def told(self, *steps: Met, headers: Headers | None = None, left_out: int = 0) -> list[Any]:
        """What is told of a packet that has met this, and of the end."""
        told: list[Any] = []
        stream = self.trace(src="198.51.100.7")
        *_, tell, end = self.asked[-1]
        tell(Followed(1, headers, "wan0", steps, left_out))
        end(End(1, 2, ""))
        stream.follow(told.append, lambda: told.append("over"))
        return told

    def test_addresses_prefixes_and_names(self) -> None:
        """A name is all addresses of its host; who has asked may go."""
        for src, dst, sources, destinations in (
            ("192.0.2.1", None, ["192.0.2.1/32"], []),
            ("2001:db8::/32", "2001:db8::1", ["2001:db8::/32"], ["2001:db8::1/128"]),
            ("A.example.org", "198.51.100.0/24", ["192.168.0.1/32"], ["198.51.100.0/24"]),
        ):
            stream = self.trace(src=src, **({"dst": dst} if dst else {}), **{"for": "2m"})
            match, seconds, most, *_ = self.asked.pop()
            self.assertEqual((match.sources, match.destinations), (self.nets(sources), self.nets(destinations)))
            self.assertEqual((seconds, most), (120, 100))
            stream.stop()
        self.assertEqual(len(self.stopped), 3)

    def nets(self, texts: list[str]) -> tuple[Any, ...]:
        """Networks."""
        return tuple(map(ip_network, texts))

    def test_what_is_wrong_is_told_before_anything_is_done(self) -> None:
        """Names, times, numbers, families."""
        for given, status in (
            ({"src": "nobody.example.org"}, ExitStatus.NOT_FOUND),
            ({"src": "192.0.2.1", "dst": "2001:db8::1"}, ExitStatus.USAGE),
            ({"src": "192.0.2.1", "for": "11m"}, ExitStatus.USAGE),
            ({"src": "192.0.2.1", "for": "0"}, ExitStatus.USAGE),
            ({"src": "192.0.2.1", "for": "1h"}, ExitStatus.USAGE),
            ({"src": "192.0.2.1", "packets": "1001"}, ExitStatus.USAGE),
            ({}, ExitStatus.USAGE),
        ):
            error = self.assertRaises(CommandError, self.trace, **given)
            assert isinstance(error, CommandError)
            self.assertIs(error.status, status, given)
        self.assertEqual(self.asked, [])

    def test_rules_of_a_host_are_told_with_the_host_and_where_it_is_written(self) -> None:
        """By the address that the packet is for, or from, at that step."""
        source = self.made.running.registry.source_of("a.example.org.")
        told, _, over = self.told(
            Met("inet realmgw", "translate", "dnat", "", "accept", None, 0),
            Met("inet realmgw", "class_3_in", "udp drop", "admin, priority 7: no", "drop", datagram(HOST), 0),
            headers=datagram(POOL),
        )
        origin = f"a.example.org. ({source}), admin, priority 7: no"
        self.assertEqual((told["steps"][0]["origin"], told["steps"][1]["origin"]), (None, origin))
        self.assertEqual((told["verdict"], told["by"], over), ("drop", f"class_3_in: {origin}", "over"))
        self.assertEqual(told["steps"][1]["now"]["destination"], "192.168.0.1")

    def test_a_rule_that_tells_of_what_it_ends_is_the_one_that_has_ended_it(self) -> None:
        """And not the chain by which it does so."""
        told, *_ = self.told(
            Met("inet realmgw", "stage_preemptive", "x meta mark set 1 goto refused_drop", "f.yaml:3", "goto", None, 0),
            Met("inet realmgw", "refused_drop", "drop", "", "drop", None, 0),
            headers=datagram(POOL),
        )
        self.assertEqual((told["verdict"], told["by"]), ("drop", "stage_preemptive: f.yaml:3"))

    def test_lines(self) -> None:
        """A block for each packet; rules of other tables are told with the table; long ones are cut."""
        told, over, _ = self.told(
            Met("inet realmgw", "a", "x" * 200, "f.yaml:3", "goto b", None, 0),
            Met("ip filter", "FORWARD", "rule 5", "", "accept", datagram(HOST), 0),
            headers=datagram(POOL),
            left_out=2,
        )
        self.assertEqual(
            [*passing.trace(told), *passing.trace(over), *passing.trace({"left_out": 3})],
            [
                "packet 1: udp 198.51.100.7:1024 > 192.0.2.3:53, in wan0",
                f"  a: {'x' * 100} (f.yaml:3): goto b",
                "  it is now udp 198.51.100.7:1024 > 192.168.0.1:53",
                "  ip filter FORWARD: rule 5: accept",
                "  2 more steps",
                "  accept",
                "",
                "1 packets",
                "more came than could be heard: steps may be missing",
                "3 packets are left out: what reads this is too slow",
            ],
        )

    def test_what_is_not_of_ip_is_told_so(self) -> None:
        """Of the machine itself, it came by no interface."""
        [told, *_] = self.told(Met("inet realmgw", "a", "accept", "", "accept", None, 0))
        self.assertIn("not of IP", next(passing.trace(told)))
        self.assertIn("of the gateway", next(passing.trace({**told, "in": None})))
