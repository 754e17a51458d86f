"""Tests for `realmgw.config.translation` and `realmgw.config.translation.iptables`."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from realmgw.config import layers
from realmgw.config.document import Problems, parse
from realmgw.config.pipeline import Check, Pipeline, Policing, Refused
from realmgw.config.policy_schema import POLICY
from realmgw.config.rules import plain
from realmgw.config.steps import finish
from realmgw.config.translation import translating
from realmgw.datapath.pipeline import parts

MARKS = """
IPTABLES:
  PACKET_MARKING:
    rules:
      - {table: mangle, chain: PREROUTING, rule: {in-interface: lan0, target: {MARK: {set-xmark: '0xff000002/0xff00000f'}}}}
      - {table: mangle, chain: PREROUTING, rule: {in-interface: wan0, target: {MARK: {set-xmark: '0xff000003/0xff00000f'}}}}
      - {table: mangle, chain: FORWARD, rule: {out-interface: tun0, target: {MARK: {set-xmark: '0xff000040/0xff0000f0'}}}}
"""  # noqa: E501 - as such files are written
LAN, WAN, TUN = (f"mark: {{mark: '0xff00000{side}/0xff00000f'}}, " for side in (2, 3, 4))
TO_LAN, TO_TUN = (f"mark: {{mark: '0xff0000{side}0/0xff0000f0'}}, " for side in (2, 4))
NEW = "conntrack: {ctstate: NEW}, "
HTTP = "protocol: tcp, multiport: {dports: '80,443'}, "
LEADS = {
    "POLICY_DHCP": ("protocol: udp, udp: {dport: 67}, ",),
    "POLICY_HTTP": (HTTP, HTTP.replace("80,443", "8080,8443")),
    "POLICY_DNS": ("protocol: udp, udp: {dport: 53}, ",),
}
"""What leads to chains of services."""
SETS = """
IPSET:
  rules:
    - {name: BAD, type: ip, items: [192.0.2.1, 198.51.100.0/24]}
    - {name: NONE, type: ip, items: []}
"""


class TranslationTestCase(SynchronousTestCase):
    """Reads rules of iptables."""

    def read(self, *rules: tuple[str, str], more: str = SETS) -> Pipeline:
        """What some rules come to.

        Args:
            rules: A chain of the table filter, or `TABLE CHAIN`, and what the rule says. Something leads to each chain.
            more: Further text of the file.
        """
        text, leads = MARKS, dict.fromkeys(chain for chain, _ in rules)
        for chain in leads:
            table, _, name = chain.rpartition(" ")
            if name not in ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"):
                for led in next((led for begin, led in LEADS.items() if name.startswith(begin)), (NEW,)):
                    text += f"      - {{table: {table or 'filter'}, chain: INPUT, rule: {{{led}target: {name}}}}}\n"
        self.first = text.count("\n") + 1
        for chain, said in rules:
            table, _, name = chain.rpartition(" ")
            text += f"      - {{table: {table or 'filter'}, chain: {name}, rule: {{{said}}}}}\n"
        problems = Problems("p/f")
        root = parse((text + more).encode(), problems, source="p/f", last_counts=True)
        assert root is not None, problems.lines()
        said_of_all = finish(translating([root], problems))
        assert said_of_all is not None
        policy = POLICY(layers.under("pipeline", said_of_all), problems)
        self.assertEqual(problems.lines(), ())
        assert policy is not None
        self.told = problems.outdated
        return policy.pipeline

    def lacks(self, chain: str, said: str, *words: str) -> None:
        """A rule has no translation: nothing is in force, and one line tells its place and what to write."""
        found = self.read((chain, said))
        self.assertEqual(
            (found.preemptive.rules, found.services, found.groups), ((), Pipeline().services, ()), self.told
        )
        [line] = self.told
        self.assertTrue(line.startswith(f"p/f:{self.first}:9: not translated, and not in force: "), line)
        for word in words:
            self.assertIn(word, line)

    def rules(self, found: Any) -> list[dict[str, Any]]:
        """Rules as they would be written."""
        self.assertEqual(self.told, [])
        return [{**plain(each.rule), **({"by": each.interface} if each.interface else {})} for each in found]

    def ports(self, said: dict[str, Any]) -> str | None:
        """The destination ports of a rule."""
        found = {**said.get("tcp", {}), **said.get("udp", {}), **said.get("multiport", {})}
        return found.get("dports", found.get("dport"))


class StageTests(TranslationTestCase):
    """What becomes of the rules of each stage."""

    def test_marks_are_set(self) -> None:
        """By their rules it is known which side an interface is of."""
        found = self.read()
        self.assertEqual((found.marking, found.preemptive, self.told), (True, Pipeline().preemptive, []))

    def test_sets_become_lists_and_say_where_they_stand(self) -> None:
        """Of senders; of receivers they become rules. An empty set says nothing."""
        first = "set: {match-set: [%s, %s]}, target: %s"
        found = self.read(
            ("raw PREROUTING", first % ("BAD", "src", "DROP")),
            ("ADMIN_PREEMPTIVE", first % ("NONE", "src", "ACCEPT")),
            ("ADMIN_PREEMPTIVE", first % ("BAD", "dst", "DROP")),
            ("ADMIN_PREEMPTIVE", LAN + first % ("BAD", "src", "DROP")),
        ).preemptive
        self.assertEqual(found.checks, (Check.BLACK_LIST, Check.WHITE_LIST, Check.SOURCES, Check.RULES))
        listed = ["192.0.2.1/32", "198.51.100.0/24"]
        self.assertEqual([str(each) for each in found.black_list.prefixes], listed)
        self.assertEqual((found.black_list.origin, found.white_list.prefixes), (f"p/f:{self.first}", ()))
        [source] = found.sources
        self.assertEqual((source.interface, [str(each) for each in source.refused]), ("lan0", listed))
        self.assertEqual(source.origin, f"p/f:{self.first + 3}")
        written = [{"priority": at, "dst": to, "target": "DROP"} for at, to in ((0, listed[0]), (10, listed[1]))]
        self.assertEqual(self.rules(found.rules), written)

    def test_what_is_looked_at_first(self) -> None:
        """In the order of the text; what was answered passes in any case."""
        flags = "protocol: tcp, tcp: {tcp-flags: ['FIN,SYN,RST,PSH,ACK,URG', %s]}, target: DROP"
        rate = "hashlimit: {hashlimit-above: 400/sec, hashlimit-burst: 600, hashlimit-name: n}, target: DROP"
        found = self.read(
            ("INPUT", "in-interface: mgt0, target: ACCEPT"),
            ("INPUT", "in-interface: lo, target: ACCEPT"),
            ("ADMIN_PREEMPTIVE", "fragment: true, target: DROP"),
            ("ADMIN_PREEMPTIVE", NEW + "protocol: tcp, tcp: {tcp-flags: ['!', 'FIN,SYN,RST,ACK', SYN]}, target: DROP"),
            ("ADMIN_PREEMPTIVE", flags % "NONE"),
            ("ADMIN_PREEMPTIVE", flags % "'FIN,SYN,RST,PSH,ACK,URG'"),
            ("ADMIN_PREEMPTIVE", "conntrack: {ctstate: 'RELATED,ESTABLISHED'}, target: ACCEPT"),
            ("ADMIN_PREEMPTIVE", "conntrack: {ctstate: INVALID}, target: DROP"),
            ("ADMIN_PREEMPTIVE", NEW + "protocol: tcp, multiport: {dports: '135,137:139'}, target: mREJECT"),
            ("ADMIN_PREEMPTIVE", WAN + NEW + rate),
            ("ADMIN_PREEMPTIVE", WAN + "protocol: tcp, tcp: {dport: 25}, comment: {comment: no mail}, target: mREJECT"),
        )
        first = found.preemptive
        checks = [
            Check.MANAGEMENT,
            Check.NOT_SYN,
            Check.FLAGS,
            Check.INVALID,
            Check.PORTS,
            Check.NEW_RATES,
            Check.RULES,
        ]
        self.assertEqual(first.checks, tuple(checks))
        self.assertEqual(([str(each) for each in first.management.prefixes], first.management.interfaces),
                         (["0.0.0.0/0", "::/0"], ("mgt0",)))  # fmt: skip
        self.assertEqual((first.fragments, found.tunnels), (("lan0", "wan0", "tun0"), ("tun0", "mgt0")))
        [rate_of] = first.new_rates
        self.assertEqual((rate_of.interface, rate_of.rate, rate_of.burst), ("wan0", 400, 600))
        said = {"priority": 0, "protocol": "tcp", "tcp": {"dport": "25"}, "target": "REJECT",
                "comment": {"comment": "no mail"}, "by": "wan0"}  # fmt: skip
        self.assertEqual(self.rules(first.rules), [said])

    def test_groups_are_those_of_their_sets(self) -> None:
        """Which way a rule is about says its mark; what leads on lets pass."""
        binding = "set: {match-set: [IPS_GROUP_%s, src]}, target: GROUP_%s"
        to_host = TO_LAN + "set: {match-set: [IPS_GROUP_A, dst]}, target: GROUP_A"
        found = self.read(
            ("GROUP_POLICY", LAN + binding % ("A", "A")),
            ("GROUP_POLICY", to_host),
            ("GROUP_POLICY", LAN + binding % ("B", "B")),
            ("GROUP_A", TO_LAN + "multiport: {dports: '80,443'}, protocol: tcp, target: CUSTOMER_POLICY"),
            ("GROUP_A", TO_LAN + "target: DROP"),
            ("GROUP_A", LAN + "udp: {dport: 53}, protocol: udp, hashlimit: {hashlimit-above: 5/sec}, target: mREJECT"),
            ("GROUP_B", "target: CUSTOMER_POLICY"),
            ("CUSTOMER_POLICY", "target: ADMIN_POLICY"),
            ("ADMIN_POLICY", "target: ACCEPT"),
            more=SETS + "    - {name: IPS_GROUP_B, type: ip, items: [192.168.0.9]}\n",
        )
        [told] = self.told
        self.assertIn("write the group into its hosts' files: groups: [IPS_GROUP_B]", told)
        self.told = []
        first, second = found.groups
        self.assertEqual((first.name, second.name, second.rules), ("IPS_GROUP_A", "IPS_GROUP_B", ()))
        ways = [(each.rule.direction.value, each.rule.target.value, each.origin) for each in first.rules]
        at = self.first + 3
        self.assertEqual(ways, [("INGRESS", "ACCEPT", f"p/f:{at}"), ("INGRESS", "DROP", f"p/f:{at + 1}"),
                                ("EGRESS", "REJECT", f"p/f:{at + 2}")])  # fmt: skip
        self.assertEqual(self.rules(first.rules)[0]["multiport"], {"dports": "80,443"})

    def test_services_by_side(self) -> None:
        """What no rule accepts is dropped by the last one; other ports, and tunnels, become rules."""
        found = self.read(
            ("POLICY_DHCP", LAN + "udp: {sport: 68, dport: 67}, protocol: udp, target: ACCEPT"),
            ("POLICY_DHCP", "target: DROP"),
            ("POLICY_HTTP", WAN + HTTP + "target: ACCEPT"),
            ("POLICY_HTTP", WAN + "multiport: {dports: '8080'}, protocol: tcp, target: ACCEPT"),
            ("POLICY_HTTP", "target: mREJECT"),
            ("ADMIN_POLICY", WAN + "target: DROP"),
        ).services
        accept, drop, reject = Policing.ACCEPT, Policing.DROP, Policing.REJECT
        self.assertEqual((found.dhcp.lan, found.dhcp.wan), (accept, drop))
        self.assertEqual((found.http.wan, found.http.lan), (accept, reject))
        self.assertEqual((found.others.wan, found.others.lan, found.others.rate), (drop, accept, None))
        told = [(each.get("by"), each["target"], self.ports(each)) for each in self.rules(found.rules)]
        self.assertEqual(told, [
            ("tun0", "DROP", "67"), ("wan0", "ACCEPT", "8080"), ("tun0", "REJECT", "80,443"),
            (None, "REJECT", "8080,8443"),
        ])  # fmt: skip

    def test_dns_by_buckets(self) -> None:
        """Each with its rate; what the server sees to itself has no rule."""
        chain, led = "POLICY_DNS_WAN", "set: {match-set: [BAD, src]}, target: POLICY_DNS_WAN_%s"
        upto = "hashlimit: {hashlimit-upto: %d/sec, hashlimit-mode: srcip}, target: %s"
        found = self.read(
            (chain, led % "WHITELIST"),
            (chain, led % "WKGREYLIST"),
            (chain, "target: POLICY_DNS_WAN_BLACKLIST"),
            (f"{chain}_BLACKLIST", "set: {match-set: [BAD, src]}, target: DROP"),
            (f"{chain}_BLACKLIST", NEW + "u32: {u32: '0x1c&0xf800=0x8000'}, target: DROP"),
            (f"{chain}_WHITELIST", upto % (90, "ACCEPT")),
            (f"{chain}_WKGREYLIST", upto % (40, "ACCEPT")),
            (f"{chain}_GREYLIST", upto % (7, "ACCEPT")),
            (f"{chain}_GREYLIST", "target: DROP"),
            ("POLICY_DNS_LAN_GLOBAL_LIMIT", upto % (50, "ACCEPT")),
            ("POLICY_DNS_TUN", "target: DROP"),
        )
        dns = found.services.dns
        self.assertEqual((dns.white_rate, dns.well_known_rate, dns.rate, dns.lan_rate), (90, 40, 7, 50))
        lists = (dns.black_list, dns.white_list, dns.well_known)
        self.assertEqual([len(each.prefixes) for each in lists], [2, 2, 2])
        [rule] = self.rules(found.services.rules)
        self.assertEqual((rule["by"], rule["udp"], found.tunnels), ("tun0", {"dport": "53"}, ("tun0",)))

    def test_refusals_and_segments(self) -> None:
        """By protocol, and by the interface that they leave by."""
        reject = "target: {REJECT: {reject-with: %s}}"
        found = self.read(
            ("mREJECT", "protocol: tcp, " + reject % "tcp-reset"),
            ("mREJECT", "protocol: icmp, " + reject % "icmp-admin-prohibited"),
            ("mangle POSTROUTING", TO_TUN + "protocol: tcp, target: {TCPMSS: {set-mss: 1300}}"),
            ("mangle POSTROUTING", TO_TUN + "protocol: tcp, target: {TCPMSS: {clamp-mss-to-pmtu: ''}}"),
        )
        self.assertEqual((found.reject, self.told), ((Refused.TCP, Refused.ICMP), []))
        self.assertEqual([(each.interface, each.size) for each in found.segments], [("tun0", 1300), ("tun0", None)])


class LackingTests(TranslationTestCase):
    """What has no translation is told, with what to write instead."""

    def test_what_is_said_elsewhere(self) -> None:
        """In the main file."""
        sources = "target: {SNAT: {to-source: 192.0.2.3-192.0.2.5}}"
        to_wan = "mark: {mark: '0xff000030/0xff0000f0'}, "
        self.lacks("nat POSTROUTING", to_wan + sources, "pools.outbound: 192.0.2.3-192.0.2.5")
        self.lacks("nat POSTROUTING", "mark: {mark: '0xff011131/0xffffffff'}, " + sources, "leave it out")
        self.lacks("nat PREROUTING", "target: {DNAT: {to-destination: 192.0.2.1}}", "webproxy")
        guests = "target: {DNAT: {to-destination: 192.168.0.1}}"
        self.lacks("nat GUEST_SERVICES", guests, "datapath.unknown_hosts: guest", "portal.listen: [192.168.0.1]")
        not_ours = "set: {match-set: ['!', IPS_SUBSCRIBERS, src]}, target: GUEST_SERVICES"
        self.lacks("GROUP_POLICY", not_ours, "datapath.unknown_hosts: guest")

    def test_what_no_rule_can_match(self) -> None:
        """Text within packets, sets, other marks, times."""
        self.lacks("ADMIN_PREEMPTIVE", "string: {string: example}, target: DROP", "'string'", "dns.forward.lists")
        self.lacks("POLICY_DNS_WAN_DOMAIN_LIMIT", "string: {hex-string: '|07|example'}, target: RETURN", "write zones")
        self.lacks("ADMIN_PREEMPTIVE", "mark: {mark: '0x1/0x1'}, target: DROP", "'mark'")
        self.lacks("ADMIN_PREEMPTIVE", "time: {timestart: '08:00'}, target: DROP", "'time'", "reload")
        self.lacks("ADMIN_PREEMPTIVE", "set: {match-set: [BAD, 'src,dst']}, target: DROP", "'set'")
        self.lacks("ADMIN_PREEMPTIVE", "set: {match-set: [OTHER, src]}, target: DROP", "'OTHER'")
        self.lacks("ADMIN_PREEMPTIVE", "protocol: tcp, tcp: {dport: 70000}, target: DROP", "70000")
        self.lacks("ADMIN_PREEMPTIVE", "target: {ULOG: {}}, protocol: tcp", "'ULOG'")
        self.lacks("ADMIN_PREEMPTIVE", TUN.replace("4/", "5/") + "protocol: tcp, target: DROP", "in-interface")
        self.lacks("ADMIN_PREEMPTIVE", TO_TUN + "protocol: tcp, target: DROP", "a rule of a group")

    def test_where_no_stage_is(self) -> None:
        """Chains that are nobody's."""
        self.lacks("MINE", "protocol: tcp, target: DROP", "'MINE' has no rules of its own here")
        self.lacks("OUTPUT", "protocol: tcp, target: DROP")
        self.lacks("mangle PREROUTING", "target: {TTL: {ttl-set: 64}}", "nft.d")

    def test_what_no_packet_comes_to(self) -> None:
        """Behind a rule that decides about all."""
        found = self.read(("ADMIN_PREEMPTIVE", "target: DROP"), ("ADMIN_PREEMPTIVE", "protocol: tcp, target: ACCEPT"))
        [line] = self.told
        self.assertIn(f"p/f:{self.first + 1}:9: not translated, and not in force: no packet comes here", line)
        self.assertEqual([each.rule.target.value for each in found.preemptive.rules], ["DROP"])

    def test_what_is_no_rule_at_all(self) -> None:
        """Whatever YAML stands there: nothing is in force of it, and nothing breaks."""
        odd = (
            "rules: 5",
            "rules: [1, [2], {}, {table: filter}, {table: [], chain: {}, rule: {target: DROP}}]",
            "rules: [{table: filter, chain: INPUT, rule: {target: [DROP], in-interface: {}}}]",
            "requires: [7]",
        )
        for each in odd:
            found = self.read(more=f"\n  ODD: {{{each}}}\nIPSET: {{rules: [3, {{name: {{}}, items: 5}}]}}\n")
            self.assertEqual(found, self.read())

    def test_what_could_be_taken_for_nft_is_text(self) -> None:
        """In remarks and names it is quoted, elsewhere refused."""
        remark = 'comment: {comment: "a\\"; flush ruleset; drop"}, protocol: tcp, target: DROP'
        [rule] = self.read(("ADMIN_PREEMPTIVE", remark)).preemptive.rules
        [line] = parts.own_rules("preemptive", [rule], None)[1]
        self.assertTrue(line.endswith(f'drop comment "p/f:{self.first}: a?; flush ruleset; drop"'), line)
        self.lacks("ADMIN_PREEMPTIVE", 'in-interface: "wan0\\" accept", protocol: tcp, target: DROP', "interface")
        self.lacks("INPUT", 'in-interface: "mgt0; flush ruleset", target: ACCEPT', "interface")
