"""Tests for `realmgw.config.namelists`."""

from __future__ import annotations

from pathlib import PurePath

import attrs
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.document import Problems
from realmgw.config.namelists import Verdict, reading, standing
from realmgw.config.settings import ListForm, NameList
from realmgw.config.steps import finish

GONE, EMPTY, PASS = Verdict.NXDOMAIN, Verdict.NODATA, Verdict.PASS
HEAD = """\
$TTL 300
@ IN SOA ns.example.org. hostmaster.example.org. (
  1 3600  ; serial, refresh
  600 86400 60 )
  IN NS localhost.
"""


class ReadingTestCase(SynchronousTestCase):
    """One list."""

    form = ListForm.HOSTS
    head = ""

    def read(self, text: str, *, allow: bool = False) -> dict[str, Verdict]:
        """The names in it; there is no problem."""
        problems = Problems("list")
        listed = finish(reading(NameList("one", PurePath("list"), self.form, allow), text.encode(), problems))
        self.assertEqual(problems.lines(), ())
        return dict(listed.names)

    def assert_problem(self, text: str, *expected: str) -> None:
        """There are exactly these problems: each is the beginning of a line."""
        problems = Problems("list")
        finish(reading(NameList("one", PurePath("list"), self.form), text.encode(), problems))
        lines = problems.lines()
        self.assertEqual(len(lines), len(expected), lines)
        for line, beginning in zip(lines, expected, strict=True):
            self.assertTrue(line.startswith(f"list:{beginning}"), line)


class HostsTests(ReadingTestCase):
    """Lists like /etc/hosts."""

    def test_has_names_behind_addresses_that_lead_nowhere(self) -> None:
        """Several on a line, comments, empty lines, upper case, final dots, names alone, all below a name."""
        text = """\
# a list
0.0.0.0 Ads.example.net tracker.example.net.  # both
127.0.0.1\tone.example.net\r
::1 two.example.net

three_.example.net
*.example.com
"""
        names = ("ads", "tracker", "one", "two", "three_")
        self.assertEqual(
            self.read(text), dict.fromkeys([*(f"{each}.example.net" for each in names), "*.example.com"], GONE)
        )

    def test_says_where_a_name_stands(self) -> None:
        """In the first line of those that have it, as it is by now; lines that are wrong are passed over."""
        lines = "# ads", "0.0.0.0 one.example.net Two.example.net", "1.2.3.4 x.example.net", "two.example.net"
        rules, text = NameList("one", PurePath("list"), self.form), "\n".join((*lines, "*.example.org", ""))
        found = finish(standing(rules, text.encode(), {"two.example.net", "*.example.org", "x.example.net"}))
        self.assertEqual(found, {"two.example.net": 2, "*.example.org": 5})
        zone = attrs.evolve(rules, form=ListForm.RPZ)
        text = f"$ORIGIN rpz.example.\n{HEAD}a.example.net CNAME .\n*.b.example.net.rpz.example. CNAME *.\n"
        found = finish(standing(zone, text.encode(), {"a.example.net", "*.b.example.net"}))
        self.assertEqual(found, {"a.example.net": 7, "*.b.example.net": 8})

    def test_passes_over_what_a_machine_says_of_itself(self) -> None:
        """As the heads of published lists do."""
        head = "127.0.0.1 localhost\nfe80::1%lo0 localhost\n255.255.255.255 broadcasthost\n0.0.0.0 0.0.0.0\n"
        self.assertEqual(self.read(f"{head}0.0.0.0 a.test\n"), {"a.test": GONE})

    def test_names_of_a_list_that_allows_pass(self) -> None:
        """Whatever its form says."""
        self.assertEqual(self.read("a.test\n", allow=True), {"a.test": PASS})

    def test_says_which_line_is_wrong(self) -> None:
        """All of them."""
        text = f"192.0.2.1 a.test\n||b.test^\n0.0.0.0 c..test\n{'x' * 64}.test\nfine.test\n\xff.test\n{'a.' * 127}a\n"
        self.assert_problem(
            text, "1:1: '192.0.2.1' is no address that leads nowhere", "2:1: '||b.test^' is no domain name",
            "3:1: 'c..test'", "4:1: 'xxx", "6:1: ", "7:1: 'a.a.",
        )  # fmt: skip

    def test_list_that_was_not_written_whole_is_wrong(self) -> None:
        """Empty, nothing but comments, ended within a line."""
        self.assert_problem("", "1:1: there is no name in it")
        self.assert_problem("# soon\n127.0.0.1 localhost\n", "1:1: there is no name in it")
        self.assert_problem("a.test\nb.te", "2:1: the file ends within a line")

    def test_nobody_reads_problems_without_end(self) -> None:
        """Binary data, for example."""
        problems = Problems("list")
        finish(reading(NameList("one", PurePath("list")), b"\0 \xff\n" * 100_000, problems))
        self.assertLess(len(problems.found), 10_000)

    def test_long_lists_are_read_in_steps(self) -> None:
        """Others have their turn."""
        content = b"".join(b"n%d.test\n" % number for number in range(5000))
        steps = reading(NameList("one", PurePath("list")), content, Problems("list"))
        self.assertGreaterEqual(sum(1 for _ in steps), 9)


class ZoneTests(ReadingTestCase):
    """Response policy zones."""

    form = ListForm.RPZ

    def test_has_names_with_their_actions(self) -> None:
        """The head of the zone is passed over."""
        text = f"""{HEAD}\
ads.example.net CNAME .
  ; nothing
*.Ads.example.net 60 IN CNAME .
mail.example.net IN 1h CNAME *.
good.example.net CNAME rpz-passthru.
old.example.net CNAME old.example.net.
"""
        self.assertEqual(
            self.read(text),
            {
                "ads.example.net": GONE, "*.ads.example.net": GONE, "mail.example.net": EMPTY,
                "good.example.net": PASS, "old.example.net": PASS,
            },
        )  # fmt: skip

    def test_names_may_be_written_with_the_zone(self) -> None:
        """By $ORIGIN, or by the SOA's owner."""
        text = "$ORIGIN rpz.test.\n" + HEAD + "a.example CNAME .\nb.example.rpz.test. CNAME .\n"
        self.assertEqual(set(self.read(text)), {"a.example", "b.example"})
        text = HEAD.replace("@", "rpz.test.") + "b.example.rpz.test. CNAME .\n$ORIGIN example.rpz.test.\nc CNAME .\n"
        self.assertEqual(set(self.read(text)), {"b.example", "c.example"})

    def test_refuses_other_triggers(self) -> None:
        """By the address of the answer or of who asks, by name servers: nothing is half done."""
        text = "a.test CNAME .\n"
        for trigger in ("24.0.2.0.192.rpz-ip", "rpz-client-ip", "ns.test.rpz-nsdname", "32.1.2.0.192.rpz-nsip"):
            self.assert_problem(f"{text}{trigger} CNAME .\n", f"2:1: '{trigger}': only names are triggers here")

    def test_refuses_other_actions(self) -> None:
        """Data, silence, TCP, types."""
        for action, why in (
            ("CNAME rpz-drop.", "no question is left unanswered"),
            ("CNAME rpz-tcp-only.", "no question is left unanswered"),
            ("CNAME garden.test.", "no data can be given"),
            ("A 192.0.2.1", "no data can be given"),
            ("CNAME", "no data can be given"),
        ):
            problems = Problems("list")
            finish(reading(NameList("one", PurePath("list"), self.form), f"a.test {action}\n".encode(), problems))
            self.assertIn(why, problems.lines()[0])
            self.assertTrue(problems.lines()[0].startswith("list:1:1: "))

    def test_refuses_names_of_other_zones_and_directives(self) -> None:
        """And what there is no zone for."""
        self.assert_problem("a.test. CNAME .\n", "1:1: 'a.test.' is not in this zone")
        self.assert_problem("$ORIGIN rpz.test.\na.test. CNAME .\n", "2:1: 'a.test.' is not in this zone")
        self.assert_problem("$INCLUDE other\n", "1:1: '$INCLUDE': only $ORIGIN and $TTL")
        self.assert_problem("  CNAME .\n", "1:3: '' is no domain name")

    def test_lines_are_read_in_one_pass(self) -> None:
        """However much what is no TTL looks like one."""
        digits = "1" * 5000
        self.assert_problem(f"a.example.net {digits}x CNAME .\n", "1:1: '111")
        for ttl in ("300", "1h", "1H30m5"):
            self.assertEqual(self.read(f"a.example.net {ttl} IN CNAME .\n"), {"a.example.net": GONE})

    def test_zone_that_was_not_written_whole_is_wrong(self) -> None:
        """It ends within a record, or has a head only."""
        self.assert_problem("a.test CNAME .\n@ SOA a. b. (\n 1\n", "3:1: the file ends within a line")
        self.assert_problem(HEAD, "1:1: there is no name in it")
