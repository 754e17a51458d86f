"""Tests for `realmgw.subscribers.tools.migrate`."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from realmgw import config
from realmgw.control.command import local
from realmgw.errors import PlatformError
from realmgw.subscribers.tools.migrate import migration, write
from realmgw.test.config.test_schema import MINIMAL
from realmgw.test.subscribers.test_schema import ESTABLISHED

POLICY = """
CIRCULARPOOL:
    max: 1000
    DNS_GROUP_POLICY:
        - {'initial_reputation': 1.0, 'sla': true, 'nodes': ['203.0.113.53']}
    CONTROL_VARIABLES:
        SYSTEM_LOAD:
            - {'threshold_min': 0, 'threshold_max': 100, 'fqdn_new': 0.5, 'sfqdn_new': 0.3, 'sfqdn_reuse': 0.1, 'math': 'max'}
        PBRA_DNS_POLICY_TCPCNAME:  false
        PBRA_DNS_POLICY_TCP:       true
"""  # noqa: E501 - as such files are written

RULES = """
IPTABLES:
    ADMIN_PREEMPTIVE:
        requires: [{'table': 'raw', 'chain': 'PREROUTING', 'create': false, 'flush': true}]
        rules:
            - {'table': 'raw', 'chain': 'PREROUTING', 'rule': {'set': {'match-set': ['BAD', 'src']}, 'comment': {'comment': 'a'}, 'target': 'DROP', 'comment': {'comment': 'b'}}}
            - {'table': 'raw', 'chain': 'PREROUTING', 'rule': {'string': {'string': 'bad'}, 'target': 'DROP'}}
"""  # noqa: E501 - as such files are written, with a key twice


class MigrationTestCase(SynchronousTestCase):
    """Has a deployment's folder."""

    def setUp(self) -> None:
        """With a folder of subscribers and one of policies, and a place for what becomes of them."""
        self.folder, self.target = Path(self.mktemp()), Path(self.mktemp())
        for name, content in (
            ("gw.example.org.subscriber.d/ue.yaml", ESTABLISHED),
            ("gw.example.org.policy.d/circularpool.policy.yaml", POLICY),
            ("gw.example.org.policy.d/ipset.policy.yaml", "IPSET: {rules: [{name: BAD, items: [198.51.100.7]}]}\n"),
            ("gw.example.org.policy.d/iptables.policy.yaml", RULES),
        ):
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)


class MigrationTests(MigrationTestCase):
    """`migration` and `write`."""

    def test_a_gateway_can_run_with_what_is_written(self) -> None:
        """Subscribers and policies are found beside the main file."""
        found = migration(self.folder)
        self.assertEqual(found.problems, ())
        self.assertEqual(
            set(write(found, self.target)),
            {
                self.target / "subscribers.d" / "ue.yaml",
                *(self.target / "policies.d" / name for name in ("circularpool.policy.yaml", "pipeline.yaml")),
            },
        )
        (self.target / "realmgw.yaml").write_text(MINIMAL.replace("pools: {", "pools: {service: [192.0.2.1], "))
        settings = config.load(self.target / "realmgw.yaml")
        self.assertEqual((settings.policy.max_claims, len(settings.policy.system_load)), (1000, 1))
        self.assertEqual((settings.policy.challenges.tcp, settings.policy.challenges.cname), (True, False))
        self.assertTrue(settings.policy.groups[0].sla)
        self.assertEqual(str(settings.policy.pipeline.preemptive.black_list.prefixes[0]), "198.51.100.7/32")
        registry = local.subscribers(settings)
        self.assertEqual(registry.problems, ())
        self.assertEqual(
            sorted(registry.directory.services), [f"{label}ue001.example.org." for label in ("ssh.", "", "www.")]
        )

    def test_the_folders_can_be_used_as_they_are(self) -> None:
        """With the same result."""
        main = self.folder / "realmgw.yaml"
        main.write_text(MINIMAL + "subscribers: [gw.example.org.subscriber.d]\npolicies: [gw.example.org.policy.d]\n")
        settings = config.load(main)
        self.assertEqual(settings.policy.max_claims, 1000)
        self.assertEqual(settings.subscribers, (self.folder / "gw.example.org.subscriber.d",))
        listed = settings.policy.pipeline.preemptive.black_list
        self.assertEqual([str(each) for each in listed.prefixes], ["198.51.100.7/32"])
        self.assertTrue(listed.origin.endswith("iptables.policy.yaml:6"), listed.origin)
        [line] = settings.outdated
        self.assertIn("iptables.policy.yaml:7:15: not translated, and not in force: 'string' can not be had", line)

    def test_tells_what_is_left_out(self) -> None:
        """What has no translation."""
        [note] = migration(self.folder).notes
        self.assertIn("iptables.policy.yaml:7:15: not translated, and not in force: 'string' can not be had", note)

    def test_a_file_with_a_problem_is_left_out(self) -> None:
        """And told, with its place; the others are translated."""
        bad = self.folder / "gw.example.org.subscriber.d" / "bad.yaml"
        bad.write_text("a.example.org: {ID: {IPV4: [x]}}")
        found = migration(self.folder)
        [line] = found.problems
        self.assertTrue(line.startswith(f"{bad}:1:29: 'x' is no address"), line)
        self.assertEqual(len(found.files), 3)

    def test_a_folder_of_files_can_be_translated_too(self) -> None:
        """Of either kind."""
        found = migration(self.folder / "gw.example.org.policy.d")
        names = ("circularpool.policy.yaml", "pipeline.yaml")
        self.assertEqual(list(found.files), [Path("policies.d", name) for name in names])

    def test_refuses_folders_of_several_gateways_and_of_none(self) -> None:
        """Their subscribers would contradict each other."""
        (self.folder / "other.subscriber.d").mkdir()
        [line] = migration(self.folder).problems
        self.assertIn("there are several gateways", line)
        [line] = migration(Path("nowhere")).problems
        self.assertIn("there are no *.yaml files", line)

    def test_files_that_are_there_are_not_touched(self) -> None:
        """None of them, and nothing else is written."""
        there = self.target / "policies.d" / "circularpool.policy.yaml"
        there.parent.mkdir(parents=True)
        there.write_text("mine")
        error = self.assertRaises(PlatformError, write, migration(self.folder), self.target)
        self.assertIn(f"{there} is there already", str(error))
        self.assertEqual(there.read_text(), "mine")
        self.assertFalse((self.target / "subscribers.d").exists())
