"""Tests for `realmgw.control.expecting`: what the rules of hosts say to flows."""

from __future__ import annotations

from realmgw.config.steps import finish
from realmgw.control.expecting import Ran
from realmgw.test.control.test_expecting import HOSTS, MORE, PLACE, RunTestCase

MAIL = """
mail.example.org:
  address: [192.168.0.5, '2001:db8:7::5']
  firewall:
    admin:
      - {priority: 3, direction: EGRESS, tcp: {dport: 25}, target: REJECT, comment: {comment: no mail}}
      - {priority: 4, direction: INGRESS, src: 203.0.113.0/24, target: DROP}
shut.example.org:
  address: 192.168.0.6
  groups: [locked]
  services: {www.shut.example.org: {protocol: tcp, port: 80}}
"""
LOCKED = """
policy:
  pipeline:
    groups:
      locked: {rules: [{priority: 1, direction: INGRESS, protocol: tcp, target: DROP}]}
"""


class FlowTests(RunTestCase):
    """What the rules of hosts say."""

    def setUp(self) -> None:
        """Hosts that have some."""
        super().setUp()
        finish(self.registry.commit(self.changes(HOSTS + MAIL)))

    def test_rules_of_hosts_and_of_groups(self) -> None:
        """Of who sends, and then of who receives; by the names of hosts and of services."""
        out = "flow: {source: mail.example.org, destination"
        flows = {
            f"{out}: 198.51.100.25, port: 25}}": ("reject", "no mail"),
            f"{out}: '2001:db8::25', port: 25}}": ("reject", "admin, priority 3"),
            f"{out}: 198.51.100.25, port: 587}}": ("accept", ""),
            f"{out}: www.shut.example.org, port: 80}}": ("drop", "group locked"),
            f"{out}: www.shut.example.org, protocol: udp, port: 80}}": ("accept", ""),
            f"{out}: www.shut.example.org, port: 25}}": ("reject", "no mail"),
            "flow: {source: 203.0.113.80, destination: mail.example.org, port: 443}": ("drop", "admin, priority 4"),
            "flow: {source: 192.0.2.80, destination: mail.example.org, protocol: icmp}": ("accept", ""),
        }
        tests = [f"{flow} = {word}, rule: '{rule}'" for flow, (word, rule) in flows.items()]
        self.assertEqual(self.run_tests(*tests, more=LOCKED), Ran())
        for flow, (word, rule) in flows.items():
            for other in (f"{'drop' if word == 'accept' else 'accept'}, rule: '{rule}'", f"{word}, rule: other"):
                self.assertEqual(len(self.run_tests(f"{flow} = {other}", more=LOCKED).failed), 1)

    def test_what_is_said_instead_is_told_with_the_rule(self) -> None:
        """And what there is none of."""
        rows = {
            "destination: 198.51.100.25, port: 25} = accept": "ACCEPT, and what comes is REJECT: mail.example.org.,"
            " EGRESS: admin, priority 3: no mail: REJECT",
            "destination: 198.51.100.25, port: 587} = reject, rule: no mail": "REJECT by 'no mail', and what comes is"
            " ACCEPT: mail.example.org., EGRESS: no rule forbids it",
            "destination: gone.example.org, port: 25} = reject": "REJECT, and what comes is NOTHING: there is no host"
            " and no service gone.example.org.",
            "destination: c.example.org, port: 25} = accept": "ACCEPT, and what comes is REJECT: mail.example.org.,"
            " EGRESS: admin, priority 3: no mail: REJECT",
        }
        for flow, line in rows.items():
            ran = self.run_tests(f"flow: {{source: mail.example.org, {flow}", more="")
            self.assertEqual(ran.failed, (f"f:{PLACE - MORE.count(chr(10))}:5: the test expects {line}",))
        [line] = self.run_tests("flow: {source: shut.example.org, destination: c.example.org, port: 1} = drop").failed
        self.assertIn("the two have no addresses of one family", line)

    def test_rules_are_those_that_would_be_in_force(self) -> None:
        """Of hosts that come, go, and get others."""
        tests = (
            "flow: {source: mail.example.org, destination: 198.51.100.25, port: 25} = accept",
            "flow: {source: new.example.org, destination: 198.51.100.25, port: 25} = reject",
            "flow: {source: shut.example.org, destination: 198.51.100.25, port: 25} = accept",
        )
        later = MAIL.partition("shut.")[0].replace("mail.example", "new.example")
        changes = self.changes(f"{HOSTS}{later}mail.example.org: {{address: 192.168.0.7}}\n")
        failed = self.run_tests(*tests, changes=changes).failed
        self.assertEqual(len(failed), 1)
        self.assertIn("there is no host and no service shut.example.org.", failed[0])
        self.assertEqual(len(self.run_tests(*tests, changes=changes, complete=False).skipped), 1)
