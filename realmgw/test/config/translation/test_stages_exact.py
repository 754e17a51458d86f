"""Tests for `realmgw.config.translation`, `served` and `recognition`: nothing of what a rule means is lost."""

from __future__ import annotations

from typing import Any

from realmgw.config.pipeline import Pipeline, Policing
from realmgw.config.rules import Target, plain
from realmgw.test.config.translation.test_stages import (
    HTTP,
    LAN,
    MARKS,
    NEW,
    SETS,
    TO_LAN,
    TO_TUN,
    TUN,
    WAN,
    TranslationTestCase,
)


class ExactTests(TranslationTestCase):
    """A rule means here what it meant there: no condition and no order among rules is lost without being told."""

    def checks(self, *rules: tuple[str, str], more: str = SETS) -> tuple[list[str], list[tuple[Any, ...]]]:
        """What is looked at first, and the rules among it: by which interface, from and to where, ports, and target."""
        found = self.read(*rules, more=more).preemptive
        told = [
            (each.get("by"), each.get("src"), each.get("dst"), self.ports(each), each["target"])
            for each in ({**plain(rule.rule), "by": rule.interface or None} for rule in found.rules)
        ]
        return [each.value for each in found.checks], told

    def test_first_match_decides(self) -> None:
        """What a check can not keep in its order becomes rules: a later white list opens nothing that was dropped."""
        items = ", ".join(f"{{name: {name}, items: [192.0.2.{at}]}}" for at, name in enumerate("ABC", 1))
        some = f"\nIPSET: {{rules: [{items}]}}\n"
        listed = "set: {match-set: [%s, src]}, target: %s"
        chain = "ADMIN_PREEMPTIVE"
        found = self.checks(
            (chain, listed % ("A", "ACCEPT")),
            (chain, listed % ("B", "DROP")),
            (chain, listed % ("C", "ACCEPT")),
            more=some,
        )
        self.assertEqual(found, (["white_list", "black_list", "rules"], [(None, "192.0.2.3/32", None, None, "ACCEPT")]))
        mail = "protocol: tcp, tcp: {dport: %d}, target: %s"
        found = self.checks(
            (chain, mail % (25, "DROP")), (chain, listed % ("A", "ACCEPT")), (chain, mail % (26, "DROP")), more=some
        )
        self.assertEqual(found, (["rules"], [
            (None, None, None, "25", "DROP"), (None, "192.0.2.1/32", None, None, "ACCEPT"),
            (None, None, None, "26", "DROP"),
        ]))  # fmt: skip
        found = self.checks(
            (chain, mail % (25, "ACCEPT")),
            (chain, WAN + listed % ("A", "DROP")),
            (chain, mail % (26, "ACCEPT")),
            more=some,
        )
        self.assertEqual([each[:2] for each in found[1]], [(None, None), ("wan0", "192.0.2.1/32"), (None, None)])
        found = self.checks(
            (chain, mail % (25, "ACCEPT")), (chain, "conntrack: {ctstate: INVALID}, target: DROP"),
            (chain, mail % (26, "ACCEPT")),
        )  # fmt: skip
        self.assertEqual(found[0], ["invalid", "rules"])
        self.assertEqual(self.told, [])

    def test_raw_comes_first_and_accepts_nothing(self) -> None:
        """What raw accepts is asked all of ADMIN_PREEMPTIVE; what it drops is dropped before that accepts anything."""
        listed = "set: {match-set: [BAD, src]}, target: %s"
        found, _ = self.checks(("ADMIN_PREEMPTIVE", listed % "ACCEPT"), ("raw PREROUTING", listed % "DROP"))
        self.assertEqual(found, ["black_list", "white_list"])
        self.lacks("raw PREROUTING", listed % "ACCEPT", "ADMIN_PREEMPTIVE decides about it nevertheless")
        self.lacks("raw PREROUTING", "protocol: tcp, target: RETURN", "ADMIN_PREEMPTIVE decides about it nevertheless")

    def test_sets_keep_their_side(self) -> None:
        """A side, another match or the end of a packet is lost with none of them."""
        bad = ["192.0.2.1/32", "198.51.100.0/24"]
        listed = "set: {match-set: [BAD, %s]}, target: %s"
        for said, by, ends in (
            (WAN + listed % ("src", "ACCEPT"), "wan0", [(each, None) for each in bad]),
            (LAN + listed % ("dst", "ACCEPT"), "lan0", [(None, each) for each in bad]),
            (LAN + listed % ("dst", "DROP"), "lan0", [(None, each) for each in bad]),
            ("in-interface: wan0, " + listed % ("src", "ACCEPT"), "wan0", [(each, None) for each in bad]),
            ("protocol: udp, " + listed % ("src", "RETURN"), None, [(each, None) for each in bad]),
        ):
            checks, rules = self.checks(("ADMIN_PREEMPTIVE", said))
            self.assertEqual((checks, [each[:3] for each in rules]), (["rules"], [(by, *end) for end in ends]), said)
            self.assertEqual(self.told, [])
        for said in (TO_LAN + listed % ("src", "ACCEPT"), "src: 192.0.2.0/24, " + listed % ("src", "ACCEPT"),
                     listed.replace("BAD", "'!', BAD") % ("src", "DROP")):  # fmt: skip
            self.lacks("ADMIN_PREEMPTIVE", said)
        self.lacks("ADMIN_PREEMPTIVE", "set: {match-set: [BAD, src], packets-gt: 5}, target: DROP", "'set'")
        self.lacks("ADMIN_PREEMPTIVE", "set: [{match-set: [BAD, src]}, {match-set: [BAD, dst]}], target: DROP", "'set'")

    def test_what_is_in_sets_otherwise(self) -> None:
        """Items that are no prefixes are told; who comes into a set by himself is in no file."""
        items = "\nIPSET: {rules: [{name: P, type: 'ip,port', items: ['192.0.2.1,tcp:80', 192.0.2.2]}]}\n"
        found = self.read(("ADMIN_PREEMPTIVE", "set: {match-set: [P, src]}, target: DROP"), more=items)
        self.assertEqual([str(each) for each in found.preemptive.black_list.prefixes], ["192.0.2.2/32"])
        [line] = self.told
        self.assertIn("'192.0.2.1,tcp:80' is no prefix", line)
        hosts = "\nIPSET: {rules: [{name: IPS_SUBSCRIBERS, items: []}]}\n"
        self.read(("ADMIN_PREEMPTIVE", "set: {match-set: [IPS_SUBSCRIBERS, src]}, target: DROP"), more=hosts)
        [line] = self.told
        self.assertIn("who is in 'IPS_SUBSCRIBERS' shows while the gateway runs", line)

    def test_checks_are_of_what_they_say(self) -> None:
        """Of some ports, of one side, of source ports, or turned around, a rule is no check of all."""
        ports = "protocol: tcp, multiport: {%s}, target: mREJECT"
        for said in ("dports: '135'", "sports: '135,137,138,139'", "dports: ['!', '135,137,138,139']"):
            self.assertEqual(self.checks(("ADMIN_PREEMPTIVE", ports % said))[0], ["rules"], said)
        flags = "protocol: tcp, tcp: {dport: 80, tcp-flags: ['!', 'FIN,SYN,RST,ACK', SYN]}, target: DROP"
        self.assertEqual(self.checks(("ADMIN_PREEMPTIVE", flags))[0], ["rules"])
        rate = "hashlimit: {hashlimit-above: 400/sec}, target: DROP"
        self.assertEqual(self.checks(("ADMIN_PREEMPTIVE", NEW + rate))[0], ["rules"])
        [limit] = self.read(("ADMIN_PREEMPTIVE", WAN + NEW + rate)).preemptive.new_rates
        self.assertEqual((limit.rate, limit.burst), (400, 5))
        for said in (
            "fragment: false, target: DROP",
            "fragment: '!', target: DROP",
            "fragment: true, protocol: udp, target: DROP",
        ):
            self.assertEqual(self.read(("ADMIN_PREEMPTIVE", said)).preemptive.fragments, ())
            self.assertEqual(len(self.told), 1, said)

    def test_marks_are_whole(self) -> None:
        """A mark that tells more than sides, or half of one, is not taken for one of all packets."""
        for mark in ("0xff000001/0xff000001", "0xff110000/0xffff0000", "0xff000300/0xff000f00"):
            self.lacks("ADMIN_PREEMPTIVE", f"mark: {{mark: '{mark}'}}, target: DROP", "'mark' can not be had")
        self.lacks("mangle PREROUTING", "src: 192.0.2.1, target: {MARK: {set-xmark: '0x1/0x1'}}", "nft.d")
        self.lacks("ADMIN_PREEMPTIVE", "in-interface: '!lan0', target: DROP", "'!lan0' is all others")
        self.lacks("ADMIN_PREEMPTIVE", WAN + "in-interface: lan0, target: DROP", "never matches")

    def test_each_interface_of_a_side(self) -> None:
        """Of several, a rule by the side's mark is about all."""
        [first] = [line for line in MARKS.splitlines() if "lan0" in line]
        more = first.replace("lan0", "lan1") + "\n"
        _, rules = self.checks(("ADMIN_PREEMPTIVE", LAN + "protocol: udp, target: DROP"), more=more)
        self.assertEqual([each[0] for each in rules], ["lan0", "lan1"])

    def test_an_interface_of_a_side_does_not_manage(self) -> None:
        """What INPUT accepts by it is still asked what is looked at first; so is what goes on to hosts."""
        found = self.read(("INPUT", "in-interface: wan0, target: ACCEPT"))
        self.assertEqual((found.preemptive, len(found.services.rules)), (Pipeline().preemptive, 1))

    def test_services_are_opened_as_far_as_rules_say(self) -> None:
        """For some senders, from some ports, or at one of the ports: that alone."""
        for said in (
            "src: 203.0.113.0/24",
            "multiport: {sports: '80'}",
            "tcp: {dport: 80}",
            NEW + "mac: {mac-source: x}",
        ):
            found = self.read(
                ("POLICY_HTTP", WAN + said + ", protocol: tcp, target: ACCEPT"), ("POLICY_HTTP", "target: DROP")
            )
            self.assertEqual(found.services.http.wan, Policing.DROP, said)
        some = self.read(("POLICY_HTTP", WAN + "src: 203.0.113.0/24, target: ACCEPT")).services.rules
        told = [(each["by"], each["src"], self.ports(each)) for each in self.rules(some)]
        self.assertEqual(told, [("wan0", "203.0.113.0/24", "80,443"), ("wan0", "203.0.113.0/24", "8080,8443")])
        self.read(("POLICY_HTTP", WAN + "target: DROP"), ("POLICY_HTTP", WAN + "src: 192.0.2.1, target: ACCEPT"))
        self.assertIn("an earlier rule decides about the service on that side", self.told[0])
        self.lacks("POLICY_HTTP", "protocol: tcp, tcp: {dport: 9090}, target: ACCEPT", "asks for other ports")

    def test_groups_are_led_to_as_written(self) -> None:
        """By several sets, by one direction only; not by what a set does not have, nor by what drops."""
        chain = "GROUP_POLICY"
        out = LAN + "set: {match-set: [%s, src]}, target: %s"
        found = self.read(
            (chain, out % ("IPS_GROUP_A", "GROUP_X")),
            (chain, out % ("IPS_GROUP_B", "GROUP_X")),
            (chain, out % ("'!', IPS_GROUP_C", "GROUP_Y")),
            (chain, out % ("BAD", "DROP")),
            ("GROUP_X", "protocol: tcp, tcp: {dport: 25}, target: DROP"),
            ("GROUP_X", "protocol: udp, target: OTHER"),
            ("GROUP_X", "target: CUSTOMER_POLICY"),
            ("GROUP_X", "target: DROP"),
            ("GROUP_Y", "target: DROP"),
            ("OTHER", "target: DROP"),
            ("CUSTOMER_POLICY", "target: ADMIN_POLICY"),
            ("ADMIN_POLICY", "target: ACCEPT"),
        )
        told = [
            (each.name, [(rule.rule.direction.value, rule.rule.target.value) for rule in each.rules])
            for each in found.groups
        ]
        self.assertEqual(told, [(f"IPS_GROUP_{name}", [("EGRESS", "DROP")]) for name in "AB"])
        lines = [int(line.split(":")[1]) - self.first for line in self.told]
        self.assertEqual(lines, [2, 3, 5, 7, 8, 9])
        self.assertIn("write those of 'OTHER' into it", self.told[2])

    def test_a_remark_or_an_answer_costs_no_rule(self) -> None:
        """What is written for humans is cut; who can not be told so is refused all the same, and that is told."""
        for remark, kept in (("comment: {comment: \"a\\nb\"}", "a b"), ("comment: text", "text"),
                             (f"comment: {{comment: {'x' * 300}}}", "x" * 255)):  # fmt: skip
            [rule] = self.read(("ADMIN_PREEMPTIVE", remark + ", protocol: tcp, target: DROP")).preemptive.rules
            self.assertEqual((rule.rule.comment, self.told), (kept, []))
        for how in ("icmp-proto-unreachable", "tcp-reset"):
            said = f"src: 192.0.2.1, target: {{REJECT: {{reject-with: {how}}}}}"
            [rule] = self.read(("ADMIN_PREEMPTIVE", said)).preemptive.rules
            self.assertEqual((rule.rule.target, rule.rule.target_options), (Target.REJECT, ()))
            [line] = self.told
            self.assertIn("not in force as to reject-with: ", line)
        self.lacks("mangle POSTROUTING", TO_TUN + "target: {TCPMSS: {set-mss: 99999}}", "'99999' is no size")

    def test_a_group_has_one_list(self) -> None:
        """A second chain that the same hosts are led to is told."""
        led = LAN + "set: {match-set: [IPS_GROUP_A, src]}, target: GROUP_%s"
        rules = [(f"GROUP_{name}", "protocol: tcp, target: DROP") for name in "YX"]
        [group] = self.read(("GROUP_POLICY", led % "X"), ("GROUP_POLICY", led % "Y"), *rules).groups
        self.assertEqual([each.origin for each in group.rules], [f"p/f:{self.first + 3}"])
        self.assertIn("write those of 'GROUP_Y' into 'GROUP_X'", self.told[0])
        self.assertEqual(len(self.told), 2)

    def test_what_drops_a_side_drops_what_comes_after_it(self) -> None:
        """In the order in which packets meet rules: of INPUT, and of what it leads to."""
        mail, web = (f"protocol: tcp, tcp: {{dport: {port}}}, target: ACCEPT" for port in (25, 26))
        found = self.read(("INPUT", mail), ("INPUT", WAN + "target: DROP"), ("INPUT", web)).services
        told = [(each.get("by"), self.ports(each), each["target"]) for each in self.rules(found.rules)]
        self.assertEqual(told, [(None, "25", "ACCEPT"), ("wan0", None, "DROP"), (None, "26", "ACCEPT")])
        found = self.read(("INPUT", web), ("ADMIN_POLICY", mail), ("ADMIN_POLICY", WAN + "target: DROP")).services
        told = [(each.get("by"), self.ports(each), each["target"]) for each in self.rules(found.rules)]
        self.assertEqual(told, [(None, "25", "ACCEPT"), ("wan0", None, "DROP"), (None, "26", "ACCEPT")])
        found = self.read(
            ("POLICY_HTTP", HTTP + "target: ACCEPT"), ("INPUT", WAN + "target: DROP"), ("INPUT", mail)
        ).services
        self.assertEqual((found.others.wan, len(self.told)), (Policing.DROP, 1))
        self.assertIn("not in force for what rules behind it accept", self.told[0])

    def test_a_side_that_is_dropped_closes_what_services_do_not_accept(self) -> None:
        """Of a service that accepts one side only; and who comes after one that is closed does not open it."""
        found = self.read(
            ("POLICY_HTTP", WAN + HTTP + "target: ACCEPT"), ("ADMIN_POLICY", LAN + "target: DROP")
        ).services
        accept, drop = Policing.ACCEPT, Policing.DROP
        self.assertEqual((found.http.wan, found.http.lan, found.others.lan), (accept, drop, drop))
        later = "src: 192.0.2.1, protocol: tcp, tcp: {dport: 80}, target: ACCEPT"
        found = self.read(("POLICY_HTTP", "target: DROP"), ("INPUT", later)).services
        self.assertEqual(found.http.wan, drop)
        self.assertIn("is closed by then", self.told[-1])
        self.assertNotIn("192.0.2.1", str([each.rule.src for each in found.rules]))

    def test_a_service_is_open_or_closed_as_far_as_it_is_led_to(self) -> None:
        """Not by what no packet comes to, nor at ports that do not lead there."""
        led = "protocol: tcp, multiport: {dports: '8080'}, target: POLICY_HTTP"
        rules = [("INPUT", led), ("ADMIN_POLICY", HTTP + "target: POLICY_HTTP"), ("POLICY_HTTP", "target: DROP")]
        line = "      - {table: filter, chain: %s, rule: {%s}}\n"
        more = "".join(line % each for each in rules)
        found = self.read(more=more).services
        self.assertEqual((found.http.wan, found.http.lan), (Policing.ACCEPT, Policing.ACCEPT))
        self.assertEqual([self.ports(plain(each.rule)) for each in found.rules], ["8080"])
        rules[1:2] = [("INPUT", "src: 192.0.2.1, target: DROP"), ("INPUT", HTTP + "target: POLICY_HTTP")]
        found = self.read(more="".join(line % each for each in rules)).services
        self.assertEqual((found.http.wan, len(found.rules)), (Policing.ACCEPT, 2))
        self.assertIn("stands in two places", self.told[0])

    def test_what_is_dropped_for_others_too_is_told(self) -> None:
        """ADMIN_POLICY is led to by FORWARD, too; ours is about the gateway itself."""
        forward = "      - {table: filter, chain: FORWARD, rule: {target: ADMIN_POLICY}}\n" + SETS
        found = self.read(("ADMIN_POLICY", "protocol: tcp, tcp: {dport: 25}, target: DROP"), more=forward)
        self.assertEqual(len(found.services.rules), 1)
        [line] = self.told
        self.assertIn("not in force for what goes on to others", line)

    def test_conditions_of_what_leads_to_a_stage_are_told(self) -> None:
        """All packets meet it."""
        for said in ("src: 192.0.2.1, target: ADMIN_PREEMPTIVE", WAN + "target: ADMIN_PREEMPTIVE"):
            self.read(("INPUT", said), ("ADMIN_PREEMPTIVE", "protocol: udp, target: DROP"))
            [line] = self.told
            self.assertIn("all packets meet the stage of 'ADMIN_PREEMPTIVE'", line)

    def test_buckets_of_dns_are_those(self) -> None:
        """A list that is turned around, a rate for some, or what drops everything, is none."""
        chain = "POLICY_DNS_WAN"
        for said in ("set: {match-set: ['!', BAD, src]}, target: POLICY_DNS_WAN_WHITELIST",
                     "src: 192.0.2.1, target: POLICY_DNS_WAN_WHITELIST"):  # fmt: skip
            found = self.read((chain, said), (f"{chain}_WHITELIST", "target: ACCEPT")).services.dns
            self.assertEqual((found.white_list.prefixes, len(self.told)), ((), 1), said)
        self.lacks(f"{chain}_BLACKLIST", "set: {match-set: ['!', BAD, src]}, target: DROP", "no bucket of DNS")
        self.lacks(f"{chain}_BLACKLIST", "u32: {u32: '0x1c=1'}, target: DROP", "no bucket of DNS")
        self.lacks(
            f"{chain}_GREYLIST",
            "src: 192.0.2.1, hashlimit: {hashlimit-upto: 9/sec, hashlimit-mode: srcip}, target: ACCEPT",
        )
        self.lacks("POLICY_DNS_LAN_GLOBAL_LIMIT", "target: DROP", "no query would pass")

    def test_tunnels_are_dropped_from_as_others(self) -> None:
        """By the mark of their side, and where nothing is said of a side."""
        for said in (TUN + "target: DROP", "target: DROP"):
            [rule] = self.rules(self.read(("ADMIN_POLICY", said)).services.rules)
            self.assertEqual((rule["by"], rule["target"]), ("tun0", "DROP"), said)

    def test_what_a_stage_has_no_room_for_is_told(self) -> None:
        """Of rules all beyond so many; of lines about them so many, and that there are more."""
        found = self.read(*[("ADMIN_PREEMPTIVE", f"udp: {{dport: {at}}}, target: DROP") for at in range(1, 2501)])
        self.assertEqual((len(found.preemptive.rules), len(self.told)), (1000, 1001))
        self.assertIn("there are 1000 rules of preemptive by now", self.told[0])
        self.assertIn("there is more of that kind than is told", self.told[-1])

    def test_large_sets(self) -> None:
        """One that is asked for twice is one list; one that is too large is refused, with what to write instead."""
        listed = "set: {match-set: [BIG, src]}, target: DROP"
        rules = ("raw PREROUTING", listed), ("ADMIN_PREEMPTIVE", listed)
        items = [f"10.0.{at >> 8}.{at & 255}" for at in range(4097)]
        sets = "\nIPSET: {rules: [{name: BIG, items: [%s]}]}\n"
        found = self.read(*rules, more=sets % ", ".join(items[:4096]))
        self.assertEqual(len(found.preemptive.black_list.prefixes), 4096)
        with self.assertRaisesRegex(self.failureException, "the set 'BIG' has 4097 prefixes: write them into a file"):
            self.read(*rules, more=sets % ", ".join(items))
