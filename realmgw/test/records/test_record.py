"""From an end to a line."""

from __future__ import annotations

import json
from ipaddress import ip_address

from twisted.trial.unittest import SynchronousTestCase

from realmgw.datapath.netlink.accounted import Ended
from realmgw.records.known import Known, Subscriber
from realmgw.records.record import record

CLIENT, POOL, HOST, OWN = (
    ip_address(each).packed for each in ("203.0.113.5", "192.0.2.3", "192.168.0.11", "192.168.0.1")
)
CAME = Ended(
    CLIENT, POOL, 6, 40112, 80, HOST, CLIENT, 6, 8080, 40112, 2, 6, 1164, 5, 9164,
    1_795_778_321_731_000_000, 1_795_778_324_743_400_000,
)  # fmt: skip
BEGUN = Ended(HOST, CLIENT, 17, 123, 53, CLIENT, POOL, 17, 53, 3901, 0, 1, 76, None, None, None, None)
NOW = 1_795_778_325.0


class RecordTests(SynchronousTestCase):
    """What is written of an end."""

    def setUp(self) -> None:
        """A host."""
        self.known = Known()
        self.known.put(HOST, Subscriber('we"b.example.org.', ("gold",)), 0.0)

    def test_a_client_who_came(self) -> None:
        """By a name, which is known until then; the line is JSON, whatever a name has in it."""
        self.known.open([(0.0, 0x2F3, "www.example.org.", CAME[:5], 1)], 4)
        made = record(CAME, self.known, NOW)
        assert made is not None
        said = json.loads(made.line())
        expected = {
            "event": "ends", "at": 1_795_778_324.743, "start": 1_795_778_321.731, "direction": "in", "protocol": "tcp",
            "host": 'we"b.example.org.', "groups": ["gold"], "name": "www.example.org.", "address": "192.168.0.11",
            "port": 8080, "via": "192.0.2.3", "via_port": 80, "client": "203.0.113.5", "client_port": 40112,
            "answered": True, "packets_in": 6, "octets_in": 1164, "packets_out": 5, "octets_out": 9164,
            "trace_id": "2f3",
        }  # fmt: skip
        self.assertEqual(said, expected)
        self.assertTrue(made.line().endswith(b"}\n"))

    def test_what_a_host_began(self) -> None:
        """What it has sent goes out; of what was not noted it is said so."""
        made = record(BEGUN, self.known, NOW)
        assert made is not None
        self.assertEqual((made.direction, made.address, made.port, made.via, made.via_port), (
            "out", "192.168.0.11", 123, "192.0.2.3", 3901))  # fmt: skip
        self.assertEqual((made.client, made.client_port, made.name), ("203.0.113.5", 53, None))
        self.assertIsNone(made.trace_id)
        self.assertEqual((made.packets_in, made.octets_in, made.packets_out, made.octets_out), (None, None, 1, 76))
        self.assertEqual((made.start, made.at, made.answered), (None, NOW, False))

    def test_a_host_that_is_reached_at_its_own_address(self) -> None:
        """Nothing is translated."""
        made = record(CAME._replace(destination=HOST, dport=8080), self.known, NOW)
        assert made is not None
        self.assertEqual((made.direction, made.via, made.via_port), ("in", None, None))

    def test_what_is_nobodys_is_none(self) -> None:
        """The gateway's own flows, whoever asks it for something: a client, or a host, though it asked for another."""
        self.known.be_around(["192.168.0.0/24"], [POOL, OWN])
        self.assertIsNone(record(CAME._replace(answers_source=POOL), self.known, NOW))
        self.assertIsNone(record(BEGUN._replace(destination=OWN, answers_source=OWN), self.known, NOW))
        self.assertIsNone(record(BEGUN._replace(answers_source=OWN), self.known, NOW))
        self.assertIsNotNone(record(BEGUN, self.known, NOW))

    def test_what_the_gateway_fetches_from_a_host_is_the_hosts(self) -> None:
        """As its web proxy does: so it is told what the host has carried."""
        self.known.be_around(["192.168.0.0/24"], [OWN])
        made = record(CAME._replace(source=OWN, destination=HOST, answers_destination=OWN), self.known, NOW)
        assert made is not None
        self.assertEqual((made.direction, made.client), ("in", "192.168.0.1"))

    def test_values_are_what_a_flow_is_found_by(self) -> None:
        """The first five are the flow, as the allocation has it."""
        self.assertEqual(Ended._fields[:5], ("source", "destination", "protocol", "sport", "dport"))
