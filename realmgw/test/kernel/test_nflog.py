"""The target LOG: packets that a reader of the log's group is told of, by real packets both ways, of both families."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from typing import ClassVar

import attrs

from realmgw.test.datapath.moves import change
from realmgw.test.kernel.rules_case import FAMILIES, firewall
from realmgw.test.kernel.test_groups import GroupsTestCase

NETLINK_NETFILTER = 12
NFNL_SUBSYS_ULOG = 4
PACKET, CONFIG = NFNL_SUBSYS_ULOG << 8, NFNL_SUBSYS_ULOG << 8 | 1
NFULA_CFG_CMD, NFULNL_CFG_CMD_BIND = 1, 1
NFULA_PAYLOAD, NFULA_PREFIX = 9, 10
REQUEST_ACK = 5
HIDDEN = '{priority: 2, direction: INGRESS, target: {LOG: {log-prefix: "$a {\\"}; flush ruleset"}}}'


def attribute(kind: int, value: bytes) -> bytes:
    """An attribute of netlink, in the machine's byte order, padded to 32 bits (include/uapi/linux/netlink.h)."""
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def attributes(rest: bytes) -> Iterator[tuple[int, bytes]]:
    """Kinds and values."""
    while rest:
        length, kind = struct.unpack_from("=HH", rest)
        yield kind, rest[4:length]
        rest = rest[length + 3 & ~3 :]


class Reader:
    """Who reads a group, as ulogd2 and tcpdump do (include/uapi/linux/netfilter/nfnetlink_log.h).

    Args:
        group: Its number.
    """

    def __init__(self, group: int) -> None:
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        self.socket.settimeout(1.0)
        bind = struct.pack("!BBH", 0, 0, group) + attribute(NFULA_CFG_CMD, bytes([NFULNL_CFG_CMD_BIND]))
        self.socket.send(struct.pack("=IHHII", 16 + len(bind), CONFIG, REQUEST_ACK, 1, 0) + bind)
        [error] = struct.unpack_from("=i", self.socket.recv(4096), 16)
        if error:
            raise OSError(-error, "the group is not to be had")

    def told(self, timeout: float = 1.0) -> list[tuple[str, bytes]]:
        """Prefixes and packets, in their order, until nothing more comes in that time."""
        found = list[tuple[str, bytes]]()
        self.socket.settimeout(timeout)
        while True:
            try:
                rest = self.socket.recv(65536)
            except TimeoutError:
                return found
            while rest:
                length, kind = struct.unpack_from("=IH", rest)
                if kind == PACKET:
                    values = dict(attributes(rest[20:length]))
                    found.append((values[NFULA_PREFIX].rstrip(b"\0").decode(), values[NFULA_PAYLOAD]))
                rest = rest[length + 3 & ~3 :]


class LogTargetTests(GroupsTestCase):
    """A reader in the gateway's namespace, in its default group."""

    forbidding: ClassVar[str] = "forbidden"

    def setUp(self) -> None:
        super().setUp()
        self.log = self.settings.datapath.log
        with self.testbed.inside("gwa"):
            self.reader = Reader(self.log.group)
        self.addCleanup(self.reader.socket.close)

    def prefixes(self) -> list[str]:
        """Of what was told since it was last asked."""
        return [prefix for prefix, _ in self.reader.told(0.1)]

    def test_a_packet_is_told_and_the_next_rule_decides(self) -> None:
        """One that drops it, or the end of the rules; either way, both families. The rule's counter has it as well."""
        self.say(
            "{priority: 1, direction: INGRESS, udp: {dport: 99}, target: LOG, comment: {comment: who is that}},"
            "{priority: 1, direction: EGRESS, protocol: udp, target: {LOG: {log-prefix: out}}},"
            "{priority: 2, direction: INGRESS, udp: {dport: 99}, target: DROP}"
        )
        for family in FAMILIES:
            self.assertFalse(self.datagram(inwards=True, family=family, port=99))
            self.assertTrue(self.datagram(inwards=True, family=family, port=98))
            self.assertTrue(self.datagram(inwards=False, family=family, port=97))
            came, went = self.reader.told(0.1)
            self.assertEqual(came[0], "realmgw: user, priority 1: who is that")
            self.assertEqual(went[0], "realmgw: user, priority 1: out")
            for packet, inwards in ((came[1], True), (went[1], False)):
                here, there, _ = self.ends(inwards, family)
                kind, at = (socket.AF_INET, slice(12, 20)) if family == 4 else (socket.AF_INET6, slice(8, 40))
                both = socket.inet_pton(kind, here[1]) + socket.inet_pton(kind, there[1])
                self.assertEqual(packet[at], both, "the client's address, and the host's own")
        self.assertEqual([self.rule(at) for at in (1, 2, 3)], [2, 2, 2])

    def test_groups_and_stages_say_where_they_are_written(self) -> None:
        """File and line; nothing that is written in a prefix gets out of it."""
        group = "basic: {rules: [{priority: 1, direction: INGRESS, protocol: udp, target: LOG}]}"
        stage = "preemptive: {checks: [rules], rules: [{priority: 1, interface: wan0, udp: {dport: 99}, target: LOG}]}"
        self.stage(f"{{groups: {{{group}}}, {stage}}}")
        self.join("basic", rules=HIDDEN)
        self.assertTrue(self.datagram(inwards=True, family=4, port=99))
        self.assertEqual(self.prefixes(), [
            "realmgw: policies.d/50.yaml:1", "realmgw: policies.d/50.yaml:1",
            "realmgw: user, priority 2: ?a {?}; flush ruleset",
        ])  # fmt: skip
        self.assertEqual((self.of_group("basic", 1), self.packets("rule_preemptive_1")), (1, 1))

    def test_a_flood_of_packets_is_none_of_messages(self) -> None:
        """What is beyond the rate of a rule is counted, and not told; the rate of all rules bounds them together."""
        self.say("{priority: 1, direction: EGRESS, protocol: udp, target: LOG}")
        with self.testbed.inside("test_gwa"), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.bind((self.host[4][0], 0))
            for port in range(1000, 1300):
                client.sendto(b"x", (self.client[4], port))
        told = len(self.prefixes())
        self.assertGreaterEqual(told, self.log.rate)
        self.assertLess(told, 3 * self.log.rate)
        self.assertEqual(self.rule(1), 300)
        every = "".join(f"{{priority: {at}, direction: EGRESS, protocol: udp, target: LOG}}," for at in range(9))
        log = attrs.evolve(self.log, total=3)
        after = attrs.evolve(self.settings, datapath=attrs.evolve(self.settings.datapath, log=log))
        host, *others = self.hosts
        hosts = (attrs.evolve(host, profile=attrs.evolve(host.profile, firewall=firewall(every))), *others)
        self.testbed.call("gwa", self.kernel.change, after, change(self.hosts, hosts))
        self.settings, self.hosts = after, hosts
        self.assertTrue(self.datagram(inwards=False, family=4, port=99))
        self.assertEqual(self.prefixes(), [f"realmgw: user, priority {at}" for at in range(3)])
        self.assertEqual([self.rule(at) for at in range(1, 10)], [1] * 9)
