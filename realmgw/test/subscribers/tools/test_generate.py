"""Tests for `realmgw.subscribers.tools.generate`."""

from __future__ import annotations

import json
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.document import Problems, parse
from realmgw.errors import ConfigurationError, PlatformError
from realmgw.subscribers import exchange
from realmgw.subscribers.schema import entries
from realmgw.subscribers.tools.generate import Template

TEMPLATE = """\
REPLACE_UENAME3.example.org.:
    ID:
        FQDN:   ['REPLACE_UENAME3.example.org.']
        IPV4:   ['192.168.145.REPLACE_SEQ']
        MSISDN: ['358145000REPLACE_SEQ3']
    GROUP:
        - IPS_GROUP_PREPAID3
    CIRCULARPOOL:
        - {max: 3 }
    SFQDN:
        - {fqdn:     'REPLACE_UENAME3.example.org.',  proxy_required: false, carriergrade: false }
        - {fqdn: 'ssh.REPLACE_UENAME3.example.org.',  proxy_required: false, protocol: 6, port: 22 }
"""
DUAL = "hREPLACE_SEQ.example.org: {address: ['REPLACE_IPV6_fd00::10', REPLACE_IPV4_10.0.0.0], ipv6: pinhole}\n"
PLAIN = "hREPLACE_SEQ.example.org: {address: REPLACE_IPV4_10.0.0.0, max_claims: REPLACE_SEQ}\n"


def nobody(_done: int) -> None:
    """Nobody looks at the progress."""


class TemplateTests(SynchronousTestCase):
    """Templates."""

    def test_replaces_every_placeholder(self) -> None:
        """With so many digits as it says."""
        text = "REPLACE_SEQ REPLACE_SEQ3 REPLACE_UENAME REPLACE_UENAME5 REPLACE_IPV4_10.0.0.250 REPLACE_OTHER"
        self.assertEqual(Template(text, "t").render(7), "7 007 ue7 ue00007 10.0.1.1 REPLACE_OTHER")
        self.assertEqual(Template("REPLACE_SEQ3", "t").render(12345), "12345")

    def test_counts_addresses_of_ipv6(self) -> None:
        """In files and in documents; a placeholder that YAML can not read is told before anything is written."""
        template = Template(DUAL, "t")
        template.check(range(1, 70_000))
        self.assertIn("'fd00::1:f'", template.render(65_535))
        [line] = template.lines(range(9, 10))
        value = {"address": ["fd00::19", "10.0.0.9"], "ipv6": "pinhole"}
        self.assertEqual(json.loads(line), {"kind": "subscribers", "name": "h9.example.org", "value": value})
        bad = Template(DUAL.replace("'REPLACE_IPV6_fd00::10'", "REPLACE_IPV6_fd00::x"), "t")
        self.assertRaises(ConfigurationError, bad.check, range(1, 3))
        self.assertRaises(ConfigurationError, Template, "REPLACE_IPV6_fd00:::1", "t")
        unquoted = Template("hREPLACE_SEQ.example.org:\n  address: REPLACE_IPV6_fd00::\n", "t")
        self.assertIn("t:2:", self.assertRaises(ConfigurationError, unquoted.check, range(1, 3)).problems[0])

    def test_writes_what_the_established_template_means(self) -> None:
        """As its shell loop does."""
        folder = Path(self.mktemp())
        seen: list[int] = []
        template = Template(TEMPLATE, "t")
        template.check(range(1, 255))
        paths = template.write(range(1, 255), folder, seen.append, per_file=100)
        self.assertEqual(
            [path.name for path in paths], [f"generated-{part}.yaml" for part in ("001-100", "101-200", "201-254")]
        )
        self.assertEqual(seen[-1], 254)
        found = []
        for path in paths:
            problems = Problems(str(path))
            root = parse(path.read_bytes(), problems)
            assert root is not None
            found += entries(root, problems)
            self.assertEqual(problems.lines(), ())
        self.assertEqual(len(found), 254)
        self.assertEqual((found[253].name, str(found[253].address)), ("ue254.example.org.", "192.168.145.254"))

    def test_lines_say_the_same_as_files(self) -> None:
        """For a repository."""
        for text in (TEMPLATE, PLAIN):
            template = Template(text, "t")
            for number, line in zip(range(5, 8), template.lines(range(5, 8)), strict=True):
                read = exchange.document(line)
                entry, faults = exchange.subscriber(read.name, read.value)
                self.assertEqual(faults, ())
                problems = Problems("f")
                root = parse(template.render(number).encode(), problems)
                assert root is not None
                assert entry is not None
                [other] = entries(root, problems)
                self.assertEqual(
                    (entry.name, entry.address, entry.profile.max_claims),
                    (other.name, other.address, other.profile.max_claims),
                )

    def test_a_number_without_quotes_is_one(self) -> None:
        """In JSON too."""
        [line] = Template(PLAIN, "t").lines(range(9, 10))
        self.assertEqual(json.loads(line)["value"], {"address": "10.0.0.9", "max_claims": 9})

    def test_the_last_number_is_checked_too(self) -> None:
        """An address that is none is found before anything is written."""
        error = self.assertRaises(ConfigurationError, Template(TEMPLATE, "t").check, range(1, 300))
        self.assertIn("t (number 299):4:", error.problems[0])
        high = Template(PLAIN.replace("10.0.0.0", "223.255.255.250"), "t")
        error = self.assertRaises(ConfigurationError, high.check, range(1, 10))
        self.assertIn("t (number 9):1:27: ", error.problems[0])

    def test_what_does_not_differ_is_told(self) -> None:
        """Names and addresses."""
        error = self.assertRaises(
            ConfigurationError, Template("a.example.org: {address: 10.0.0.1}", "t").check, range(1, 3)
        )
        self.assertEqual(len(error.problems), 2)
        self.assertIn("a.example.org. is the same for numbers 1 and 2: put a placeholder", error.problems[0])
        Template("a.example.org: {address: 10.0.0.1}", "t").check(range(1, 2))

    def test_a_template_has_a_subscriber(self) -> None:
        """An empty one is refused."""
        error = self.assertRaises(ConfigurationError, Template("---\n", "t").check, range(1, 3))
        self.assertIn("there is no subscriber", error.problems[0])

    def test_files_are_not_written_over(self) -> None:
        """What is there stays."""
        folder = Path(self.mktemp())
        template = Template(PLAIN, "t")
        [path] = template.write(range(1, 3), folder, nobody)
        path.write_text("mine")
        self.assertIn("File exists", str(self.assertRaises(PlatformError, template.write, range(1, 3), folder, nobody)))
        self.assertEqual(path.read_text(), "mine")
