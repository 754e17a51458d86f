"""Tests for `realmgw.config.consistency.unused`."""

from __future__ import annotations

from pathlib import Path

from realmgw import config
from realmgw.config.dns import MOST_APART
from realmgw.errors import ConfigurationError
from realmgw.test.config.consistency.case import ConsistencyTestCase
from realmgw.test.config.test_schema import MINIMAL

PIN = f"{'A' * 43}="
BY_TLS = "'203.0.113.53', '203.0.113.54#dns.example.net'"


class UnusedTests(ConsistencyTestCase):
    """Options that are accepted without effect."""

    def dns(self, written: str) -> list[str]:
        """What is wrong with the DNS server when more is written of it."""
        return self.problems(("dns: {", f"dns: {{{written}, "))

    def assert_told(self, section: str, *written: str, said: str) -> None:
        """Each is refused alone, at its key, and what all begin with is not."""
        for each in written:
            word = each.partition(":")[0]
            [line] = self.lines(f"{MINIMAL}{section}:\n  {each}\n")
            self.assertTrue(line.startswith(f"f:8:3: '{word}' {said}"), line)

    def test_finds_what_is_said_of_resolvers_where_there_are_none(self) -> None:
        """Each option at its own line; but for lists, by which names do not exist that are refused without them."""
        for written in (
            "dns64: {prefix: '2001:db8:64::/96'}", "internal: [corp.example.com]", "ca_file: a", f"pins: ['{PIN}']",
            "stale: 3600", "client_subnet: true", "prefetch: false", "cache: 0", "outstanding: 9", "process: own",
            "outstanding_per_client: 9", "rate_per_client: 9", "timeouts: {a: [1]}",
        ):  # fmt: skip
            word = written.partition(":")[0]
            said = f"{word!r} is of no use without 'resolvers': write that too, or 'resolvers: []' if it is to wait"
            [line] = self.lines(MINIMAL.replace("dns: {", f"dns:\n  forward:\n    {written}\n  ").replace(
                "  wan: {listen: [192.0.2.1]}}", "  wan: {listen: [192.0.2.1]}"
            ))  # fmt: skip
            self.assertEqual(line, f"f:8:5: {said}, or remove it")
            self.assertEqual(self.dns(f"forward: {{resolvers: [], {written}}}"), [])
        self.assertEqual(self.dns("forward: {lists: [{name: ads, file: ads}]}"), [])
        self.assertEqual(self.dns("forward: {stale: 0, client_subnet: false, cache: 33554432, dns64: {}}"), [])

    def test_finds_that_where_a_start_and_a_reload_find_it(self) -> None:
        """They read the same."""
        path = Path(self.mktemp())
        path.write_text(MINIMAL + "webproxy:\n  certificates: a\n")
        error = self.assertRaises(ConfigurationError, config.load, path)
        self.assertEqual([line[: -len(line.partition(": '")[2])] for line in error.problems], [f"{path}:8:3: '"])
        self.assertEqual(config.load_partly(path).problems, error.problems)

    def test_finds_what_is_for_tls_where_no_resolver_is_asked_by_it(self) -> None:
        """Certificates and keys of resolvers; a resolver that is, is enough."""
        for written in ("ca_file: a", f"pins: ['{PIN}']"):
            [line] = self.dns(f"forward: {{resolvers: [203.0.113.53], {written}}}")
            self.assertIn(f"'{written.partition(':')[0]}' is for TLS, by which no resolver is asked", line)
            self.assertEqual(self.dns(f"forward: {{resolvers: [{BY_TLS}], {written}}}"), [])
        self.assertEqual(self.dns("forward: {resolvers: [203.0.113.53], pins: []}"), [])

    def test_finds_servers_that_stand_twice(self) -> None:
        """Resolvers and SYN proxies, at the later place; another port is another server."""
        said = "203.0.113.53 port 53 stands twice: remove one"
        self.assertEqual(self.dns("forward: {resolvers: [203.0.113.53, '203.0.113.53:53']}"), [said])
        self.assertEqual(self.dns("forward: {resolvers: [203.0.113.53, '203.0.113.53#a.example.net']}"), [])
        both = "'203.0.113.53#a.example.net', '203.0.113.53#b.example.net'"
        self.assertEqual(self.dns(f"forward: {{resolvers: [{both}]}}"), [said.replace("port 53", "port 853")])
        [line] = self.lines(MINIMAL + "synproxy:\n  proxies:\n  - 203.0.113.9\n  - 203.0.113.9\n")
        self.assertEqual(line, "f:10:5: 203.0.113.9 port 12345 stands twice: remove one")

    def test_finds_stale_answers_where_none_are_kept(self) -> None:
        """Not where something is."""
        [line] = self.dns("forward: {resolvers: [203.0.113.53], cache: 0, stale: 60}")
        self.assertIn("'stale' is of no use where nothing is kept", line)
        for written in ("cache: 1, stale: 60", "cache: 0, stale: 0, prefetch: true"):
            self.assertEqual(self.dns(f"forward: {{resolvers: [203.0.113.53], {written}}}"), [])

    def test_finds_exclusions_without_the_prefix_of_a_nat64(self) -> None:
        """Whether resolvers are asked or not."""
        [line] = self.dns("forward: {resolvers: [203.0.113.53], dns64: {exclude: ['2001:db8::/32']}}")
        self.assertEqual(line, "'exclude' is of no use without 'prefix': write that of the NAT64, or remove it")
        dns64 = "{prefix: '2001:db8:64::/96', exclude: ['2001:db8::/32']}"
        self.assertEqual(self.dns(f"forward: {{resolvers: [203.0.113.53], dns64: {dns64}}}"), [])

    def test_finds_a_process_that_has_nothing_to_read(self) -> None:
        """Or more addresses than it can be given."""
        own = "forward: {resolvers: [203.0.113.53], process: own}"
        lan = [f"192.168.0.{each}" for each in range(1, MOST_APART + 2)]
        said = f"a process of its own reads 1 to {MOST_APART} addresses of dns.lan.listen, which has "
        for count, is_told in ((0, True), (1, False), (MOST_APART, False), (MOST_APART + 1, True)):
            lines = self.dns(f"{own}, lan: {{listen: [{', '.join(lan[:count])}]}}")
            self.assertEqual([line.startswith(f"{said}{count}:") for line in lines], [True] * is_told, lines)
        self.assertEqual(len(self.dns(own)), 1)

    def test_finds_faces_that_nobody_asks_at(self) -> None:
        """Connections of a LAN's, and what updates would be signed with; what is registered by hand has defaults."""
        for face in ("lan", "local"):
            [line] = self.dns(f"{face}: {{tcp_connections: 9}}")
            self.assertIn("'tcp_connections' is of no use without 'listen'", line)
            self.assertEqual(self.dns(f"{face}: {{listen: [], tcp_connections: 9}}"), [])
        for written in ("key_file: a", "unsigned: true", "rate: 9", "guests: [a.example.org]", "tcp_connections: 9"):
            [line] = self.dns(f"update: {{{written}}}")
            self.assertIn(f"'{written.partition(':')[0]}' is of no use without 'listen'", line)
            self.assertEqual(self.dns(f"update: {{listen: [], {written}}}"), [])
        self.assertEqual(self.dns("update: {expire: 60, most: 9, defaults: {max_claims: 1}}"), [])

    def test_finds_the_life_of_secrets_that_are_not_the_gateways(self) -> None:
        """Those of a file change when somebody changes it."""
        [line] = self.dns("cookies: {secret_file: a, rotation: 3600}")
        self.assertIn("'rotation' is of the gateway's own secrets", line)
        for written in ("secret_file: a, rotation: 86400", "rotation: 3600", "secret_file: a", "enabled: false"):
            self.assertEqual(self.dns(f"cookies: {{{written}}}"), [])

    def test_finds_parts_that_nobody_has_switched_on(self) -> None:
        """Whoever says that one is off knows it."""
        on = "is of no use without 'enabled: true': write that too, or 'enabled: false' if it is to wait, or remove it"
        proxy = "certificates: a", "connections: 9", "health: {most: 9}", "http_port: 8080", "program: /a"
        self.assert_told("webproxy", *proxy, said=on)
        self.assert_told("flow_records", "file: a", "days: 9", "ipfix: {collector: 203.0.113.50}", said=on)
        places = "is of no use without 'listen': write that too, or 'listen: []' if it is to wait"
        self.assert_told("metrics", "clients: [192.0.2.0/24]", "group: prometheus", said=places)
        proxies = "is of no use without 'proxies': write that too, or 'proxies: []' if it is to wait"
        self.assert_told("synproxy", "ca_file: a", "mss: 1400", "sack: false", "ipv6: false", said=proxies)
        for written in (
            "webproxy: {enabled: false, certificates: a}", "flow_records: {enabled: false, days: 9}", "webproxy:",
            "metrics: {listen: [], clients: [192.0.2.0/24]}", "synproxy: {proxies: [], ca_file: a}", "synproxy: {}",
            "webproxy: {program: /usr/sbin/haproxy}", "flow_records: {days: 30}",
        ):  # fmt: skip
            self.assertEqual(self.problems(more=f"{written}\n"), [], written)

    def test_finds_certificates_of_proxies_that_are_not_spoken_to_by_tls(self) -> None:
        """One that is, is enough."""
        [line] = self.problems(more="synproxy: {proxies: [203.0.113.9], ca_file: a}\n")
        self.assertIn("'ca_file' is for TLS, by which no proxy is spoken to", line)
        some = "203.0.113.9, '203.0.113.8#proxy.example.net'"
        self.assertEqual(self.problems(more=f"synproxy: {{proxies: [{some}], ca_file: a}}\n"), [])

    def test_finds_metrics_that_nobody_may_ask_for(self) -> None:
        """At an address that those who may ask do not come to: by default, others than of this machine."""
        for listen, clients, said in (
            ("192.0.2.1", "", "nobody may ask at 192.0.2.1: write those who may in metrics.clients, as prefixes"),
            ("'2001:db8::1'", "", "nobody may ask at 2001:db8::1: write those who may in metrics.clients, as prefixes"),
            ("192.0.2.1", "'2001:db8::/32'", "nobody may ask at 192.0.2.1: write those who may in metrics.clients as"),
            ("127.0.0.1", "10.0.0.0/8", "nobody may ask at 127.0.0.1: write"), ("'::1'", "'2001:db8::/32'", "nobody"),
            ("127.0.0.1", "", ""), ("'::1', /a", "", ""), ("192.0.2.1", "10.0.0.0/8", ""),
            ("127.0.0.1, '::1'", "0.0.0.0/0, '::/0'", ""), ("'2001:db8::1'", "'::/0'", ""),
        ):  # fmt: skip
            who = f", clients: [{clients}]" if clients else ""
            lines = self.problems(more=f"metrics: {{listen: [{listen}]{who}}}\n")
            self.assertEqual([line[: len(said)] for line in lines], [said] if said else [], (listen, clients))
        [line] = self.lines(f"{MINIMAL}metrics:\n  listen:\n  - 127.0.0.1\n  - 192.0.2.1\n")
        self.assertTrue(line.startswith("f:10:5: "), line)

    def test_finds_groups_without_sockets_and_clients_without_addresses(self) -> None:
        """Of metrics; the dashboard says the same of its own."""
        [line] = self.problems(more="metrics: {listen: [127.0.0.1], group: prometheus}\n")
        self.assertEqual(line, "'group' is for unix sockets, and 'listen' has none: write one, or remove it")
        [line] = self.problems(more="metrics: {listen: [/run/m.sock], clients: [192.0.2.0/24]}\n")
        self.assertEqual(line, "'clients' come to addresses, and 'listen' has none: write one, or remove it")
        both = "metrics: {listen: [/run/m.sock, 192.0.2.1], clients: [192.0.2.0/24], group: prometheus}\n"
        self.assertEqual(self.problems(more=both), [])

    def test_finds_alerts_that_are_taken_from_nobody(self) -> None:
        """Where they come by UDP, or would."""
        [line] = self.problems(more="alerts: {file: a, senders: [192.0.2.0/24]}\n")
        self.assertIn("'senders' is of no use without 'udp'", line)
        [line] = self.problems(more="alerts: {udp: 192.0.2.9}\n")
        self.assertEqual(line, "nobody's alerts are taken at 192.0.2.9: write whose in 'senders'")
        for good in ("{udp: 127.0.0.1}", "{udp: 192.0.2.9, senders: [192.0.2.0/24]}", "{file: a}"):
            self.assertEqual(self.problems(more=f"alerts: {good}\n"), [])

    def test_finds_rules_of_alerts_that_are_never_tried(self) -> None:
        """Those after one that says nothing of which alerts are meant."""
        some, every = "{severity: 1, actions: [ban]}", "{actions: [count]}"
        [line] = self.lines(f"{MINIMAL}alerts:\n  file: a\n  rules:\n  - {every}\n  - {some}\n")
        said = "the rule of line 10 is for all alerts, so this one is never tried: write it before that"
        self.assertEqual(line, f"f:11:5: {said}")
        self.assertEqual(self.problems(more=f"alerts: {{file: a, rules: [{some}, {every}]}}\n"), [])

    def test_finds_what_would_be_looked_at_first_and_is_not(self) -> None:
        """Each key whose check is not there, with `checks` or without; who manages passes the services anyhow."""
        some = {
            "black_list": "{prefixes: [192.0.2.0/24]}",
            "white_list": "{prefixes: [192.0.2.0/24]}",
            "sources": "[{interface: lan0, fib: true}]",
            "new_rates": "[{interface: wan0, rate: 7}]",
            "rules": "[{priority: 1, target: DROP}]",
        }
        for word, said in some.items():
            first = f"{MINIMAL}policy:\n  pipeline:\n    preemptive:\n      {word}: {said}\n"
            written = self.lines(f"{first}      checks: [management]\n")
            why = f"'{word}' is of no use without '{word}' in 'checks': write"
            self.assertEqual(written, (f"f:10:7: {why} it there too, or 'checks: []' if all is to wait, or remove it",))
            for checks in (f"[ports, {word}]", "[]"):
                self.assertEqual(self.lines(f"{first}      checks: {checks}\n"), (), word)
            usual = word not in ("sources", "new_rates")
            whole = f"management, black_list, white_list, {'' if word != 'sources' else 'sources, '}flags, "
            whole += "rules" if word != "new_rates" else "new_rates, rules"
            told = f"f:10:7: {why} 'checks' with {whole}, or remove it"
            self.assertEqual(self.lines(first), () if usual else (told,))
        manager = "management: {prefixes: [192.0.2.9]}, checks: [], black_list: {}, sources: [], rules: []"
        for checks in ("[]", "[flags]"):
            said = manager.replace("[],", f"{checks},", 1)
            self.assertEqual(self.problems(more=f"policy: {{pipeline: {{preemptive: {{{said}}}}}}}\n"), [])

    def test_finds_groups_of_subscribers_that_are_not_asked(self) -> None:
        """Where the order of stages is without them."""
        groups = (
            f"{MINIMAL}policy:\n  pipeline:\n    groups: {{basic: {{rules: []}}}}\ndatapath: {{policy_order: [%s]}}\n"
        )
        [line] = self.lines(groups % "NAT, CUSTOMER_POLICY, GUEST_SERVICES")
        said = (
            "'groups' is of no use without GROUP_POLICY in 'datapath.policy_order': write that there too, or remove it"
        )
        self.assertEqual(line, f"f:9:5: {said}")
        self.assertEqual(self.lines(groups % "NAT, GROUP_POLICY, CUSTOMER_POLICY, GUEST_SERVICES"), ())
        self.assertEqual(self.lines(groups.partition("datapath")[0]), ())

    def test_finds_what_is_written_of_stages_that_are_off(self) -> None:
        """Where the order of stages is without them; the services spare managers as well."""
        served = "ADMIN_POLICY", "ADMIN_POLICY_DHCP", "ADMIN_POLICY_HTTP", "ADMIN_POLICY_DNS"
        least: tuple[str, ...] = ("NAT", "CUSTOMER_POLICY", "GUEST_SERVICES")
        all_of_them: tuple[str, ...] = ("PACKET_MARKING", "NAT", "mREJECT", "ADMIN_PREEMPTIVE", "GROUP_POLICY")
        all_of_them += ("CUSTOMER_POLICY", *served, "GUEST_SERVICES")
        rule = "[{priority: 1, target: DROP}]"
        for path, said, stage in (
            ("marking", "true", "PACKET_MARKING"),
            ("reject", "[tcp]", "mREJECT"),
            ("preemptive", "{black_list: {file: /a}}", "ADMIN_PREEMPTIVE"),
            ("preemptive", "{checks: [flags]}", "ADMIN_PREEMPTIVE"),
            ("preemptive", "{management: {prefixes: [192.0.2.9]}}", "ADMIN_PREEMPTIVE"),
            ("services.rules", rule, "ADMIN_POLICY"),
            ("services.others", "{wan: drop}", "ADMIN_POLICY"),
            ("services.dhcp", "{lan: drop}", "ADMIN_POLICY_DHCP"),
            ("services.http", "{rate: 9}", "ADMIN_POLICY_HTTP"),
            ("services.dns", "{unsolicited: true}", "ADMIN_POLICY_DNS"),
        ):
            *around, word = path.split(".")
            written = "".join(f"{each}: {{" for each in around) + f"{word}: {said}" + "}" * len(around)
            more = f"policy: {{pipeline: {{{written}}}}}\n"
            why = f"{word!r} is of no use without {stage} in 'datapath.policy_order'"
            for order, expected in ((least, 1), (all_of_them, 0), ((), 0)):
                put = f"datapath: {{policy_order: [{', '.join(order)}]}}\n" if order else ""
                lines = [line.partition(": ")[2] for line in self.lines(f"{MINIMAL}{more}{put}")]
                self.assertEqual(lines, [f"{why}: write that there too, or remove it"] * expected, path)
        managers = "preemptive: {management: {prefixes: [192.0.2.9]}}"
        for said, order in (
            ("marking: false", least),
            ("reject: []", least),
            ("preemptive: {checks: [], black_list: {file: /a}}", least),
            ("services: {others: {}}", least),
            (managers, (*least, "ADMIN_POLICY_DNS")),
        ):
            more = f"policy: {{pipeline: {{{said}}}}}\ndatapath: {{policy_order: [{', '.join(order)}]}}\n"
            self.assertEqual(self.lines(f"{MINIMAL}{more}"), (), said)
