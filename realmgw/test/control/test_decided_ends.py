"""Of which flow, and of which host: as operators write it."""

from __future__ import annotations

from ipaddress import ip_address

import attrs

from realmgw.allocation.decisionlog import Way
from realmgw.control.command import decided as shown
from realmgw.control.commands import CommandError, ExitStatus
from realmgw.control.refusals import Ruled
from realmgw.errors import Reason
from realmgw.subscribers.reach import Around
from realmgw.test.allocation.scene import NEIGHBOUR, OTHER, RESOLVER, STRAY, TCP
from realmgw.test.control.test_decided import ENDED, ONE, TWO, DecidedTestCase


class EndsTests(DecidedTestCase):
    """By addresses of either side."""

    def test_tells_which_rule_has_ended_a_packet(self) -> None:
        """Of a stage, by what it has met; of a host, by its private address: the flow is found by its source alone."""
        rule = "{priority: 1, direction: INGRESS, target: DROP}"
        text = f"r.example.org:\n  address: 192.168.0.9\n  firewall:\n    user:\n    - {rule}\n"
        (self.made.folder / "subscribers.d" / "r.yaml").write_text(text)
        self.made.reload()
        host = self.made.running.registry.host_called("r.example.org.")
        assert host is not None
        [own] = host.profile.firewall.user
        now, private = self.made.clock.seconds(), b"\xc0\xa8\x00\x09"
        self.log.forbid(now, (STRAY, self.two, TCP, 9, 80), Ruled("stage_flags", "policies.d/x.yaml:3", "dropped"))
        self.log.forbid(now, (STRAY, private, TCP, 10, 80), Ruled("user, priority 1", "", "refused", host.name, own))
        rows, begin = self.rows(since="1s"), "-             refused  tcp 198.51.100.3"
        self.assertEqual([next(shown.line(row)).partition(" ")[2] for row in rows], [
            f"{begin}:9 > 192.0.2.2:80 {TWO.name}: dropped, by stage_flags (policies.d/x.yaml:3)",
            f"{begin}:10 > 192.168.0.9:80 r.example.org.: refused, by user, priority 1 (subscribers.d/r.yaml:5)",
        ])  # fmt: skip
        for given, told in (
            ({"name": "r.example"}, [10]), ({"name": "s80"}, [9]), ({"refused": "1"}, [9, 10]),
            ({"resolver": OTHER}, []), ({"client": "198.51.100.3"}, [9, 10]), ({"client": "198.51.100.4"}, []),
        ):  # fmt: skip
            self.assertEqual([row["source_port"] for row in self.rows(since="1s", **given)], told, given)
        for given, told in (
            ({"host": "r.example.org"}, [10]), ({"host": "192.168.0.9"}, [10]), ({"host": "a.example.org"}, []),
        ):  # fmt: skip
            self.assertEqual([row["source_port"] for row in self.rows(since="1s", **given)], told, given)
        for port, at, why in (
            (10, "192.168.0.9:80", ["refused"]), (10, "192.0.2.1:80", ["refused"]), (10, "192.0.2.1:81", []),
            (9, "192.0.2.1:80", []), (9, "192.0.2.2:80", ["dropped"]), (10, "192.168.0.1:80", []),
        ):  # fmt: skip
            answer = self.successResultOf(self.decided.flow(f"198.51.100.3:{port}", at))
            self.assertEqual([row["why"] for row in answer["decisions"]], why, (port, at))

    def test_explains_a_flow_by_the_hosts_own_address(self) -> None:
        """Which operators know; in either order, and without ports. Not another host's, nor one of another port."""
        services = self.made.running.registry.directory.services
        (one, his), (two, others) = ((services[f"{each}.example.org."], f"192.168.0.{at}") for at, each in
                                     enumerate("ab", 1))  # fmt: skip
        group, now = self.made.allocator.groups.of(RESOLVER), self.made.clock.seconds()
        number = self.log.answer(now, one, group, None, self.one)
        self.log.admit(now, number, one.name, (NEIGHBOUR, self.one, TCP, 2000, 80), Way.CLAIM)
        self.log.answer(now, two, group, None, self.one)
        self.log.refuse(now, (NEIGHBOUR, self.one, TCP, 2001, 80), Reason.LATE)
        client, whole = "198.51.100.2", ["answered", "admitted"]
        for ends, told in (
            ((f"{client}:2000", f"{his}:80"), whole), ((f"{his}:80", f"{client}:2000"), whole),
            ((client, his), whole), ((f"{client}:2000", his), whole), ((client, f"{his}:80"), whole),
            ((f"{client}:2000", f"{his}:81"), []), ((f"{client}:2000", f"{others}:80"), []),
            ((f"{client}:2001", f"{others}:80"), ["refused"]), ((f"{client}:2001", f"{his}:80"), []),
            (("192.0.2.1:80", f"{client}:2000"), whole), ((client, "192.0.2.1"), [*whole, "refused"]),
            ((f"{client}:0", his), []),
        ):  # fmt: skip
            answer = self.successResultOf(self.decided.flow(*ends))
            self.assertEqual([row["what"] for row in answer["decisions"]], told, ends)

    def test_tells_of_a_host(self) -> None:
        """By any of its names, or its address."""
        services = self.made.running.registry.directory.services
        group, now = self.made.allocator.groups.of(RESOLVER), self.made.clock.seconds()
        for each in "ab":
            self.log.answer(now, services[f"{each}.example.org."], group, None, self.one)
        self.ended = [ENDED]
        for text in ("a.example.org", "192.168.0.1"):
            self.assertEqual([row["name"] for row in self.rows(host=text, since="1s")], [ONE.name, "a.example.org."])
            self.assertEqual(self.asked_for[0]["host"], "a.example.org.")
        error = self.assertRaises(CommandError, self.rows, host="192.168.0.99")
        self.assertEqual(error.status, ExitStatus.NOT_FOUND)

    def test_says_where_nothing_can_be_known_of(self) -> None:
        """What comes to the service pool the web proxy has answered."""
        pools = attrs.evolve(self.made.running.settings.pools, service=(ip_address("192.0.2.130"),))
        self.made.running.settings = attrs.evolve(self.made.running.settings, pools=pools)
        self.made.running.around = Around(frozenset((ip_address("192.0.2.7"),)))
        for address, said in (("192.0.2.130", "web proxy"), ("192.0.2.7", "own address"), ("192.0.2.9", "too long")):
            answer = self.successResultOf(self.decided.flow("198.51.100.9:1", f"{address}:443"))
            [line] = shown.flow(answer)
            self.assertIn(said, line)
