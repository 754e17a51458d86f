"""What policy tests say of rules of hosts (`realmgw.datapath.pipeline.verdicts`) is what a kernel does with packets."""

from __future__ import annotations

from ipaddress import ip_address
from random import Random
from typing import ClassVar

from realmgw.datapath.pipeline.verdicts import First, verdict
from realmgw.subscribers.firewall import Direction, Target
from realmgw.test.kernel.rules_case import FAMILIES
from realmgw.test.kernel.test_groups import GroupsTestCase

PORTS = (53, 77, 100, 250, 1500)
MATCHES = (
    "udp: {dport: 53}",
    "protocol: udp, multiport: {dports: '77,100:200'}",
    "udp: {dport: ['!', '200:2000']}",
    "udp: {sport: '40000:'}",
    "protocol: tcp",
    "protocol: any",
    "src: 192.168.0.0/24",
    "dst: 100.64.3.0/24",
    "hashlimit: {hashlimit-above: 1000/sec, hashlimit-burst: 1000, hashlimit-name: a}, protocol: udp",
)
ROUNDS = 6


class VerdictTests(GroupsTestCase):
    """One and the other."""

    forbidding: ClassVar[str] = "either"

    def packets(self, counter: str) -> int:
        """What rules of hosts and of groups forbid, together."""
        if counter != self.forbidding:
            return super().packets(counter)
        return super().packets("forbidden") + super().packets("stage_groups")

    def test_lists_of_rules_by_chance(self) -> None:
        """Of two groups and of a host's own; each way, by both families, from ports that are low and high."""
        random, seen = Random(17), set[bool]()
        for _ in range(ROUNDS):
            groups = [f"{name}: {{rules: [{self.rules(random, 2)}]}}" for name in "ab"]
            self.tell(*groups)
            self.join("a", "b", rules=self.rules(random, 4))
            for port in random.sample(PORTS, 2):
                for family in FAMILIES:
                    for inwards in (True, False):
                        source = random.choice((1000, 50000))
                        said = self.said(family, port, source, inwards=inwards)
                        came = self.datagram(inwards=inwards, family=family, port=port, source=source)
                        self.assertEqual(came, said, (groups, self.hosts[0].profile.firewall, family, inwards, port))
                        seen.add(came)
        self.assertEqual(seen, {True, False})

    def rules(self, random: Random, count: int) -> str:
        """Some rules."""
        return ", ".join(
            f"{{priority: {random.randrange(4)}, direction: {random.choice(('EGRESS', 'INGRESS'))},"
            f" target: {random.choice(('ACCEPT', 'DROP', 'LOG'))}, {random.choice(MATCHES)}}}"
            for _ in range(count)
        )

    def said(self, family: int, port: int, source: int, *, inwards: bool) -> bool:
        """Whether a datagram passes, by what is written."""
        here, there = (self.client[family], self.host[family][0])[:: 1 if inwards else -1]
        first = First(ip_address(here), ip_address(there), 17, source, port)
        direction = Direction.INGRESS if inwards else Direction.EGRESS
        return verdict(self.settings, self.hosts[0], direction, first).target is Target.ACCEPT
