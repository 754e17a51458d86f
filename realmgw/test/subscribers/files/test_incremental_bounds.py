"""Tests for `realmgw.subscribers.files.incremental`: where a file begins and ends, and what of it is one host."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.document import MOST_OF_ONE
from realmgw.config.quoting import MAX_PROBLEM
from realmgw.config.steps import finish
from realmgw.subscribers.files.incremental import MAX_PIECE, SEARCHED, Unit, read
from realmgw.subscribers.schema import FEW_SERVICES, MOST_SERVICES, MOST_VALUES


def host(services: int, *, established: bool = False) -> str:
    """A host with many services."""
    if established:
        names = "".join(f"    - {{fqdn: s{number}.example.org, port: 80}}\n" for number in range(services))
        return f"a.example.org:\n  ID: {{IPV4: [192.168.0.1]}}\n  SFQDN:\n{names}"
    names = "".join(f"    s{number}.example.org: {{port: 80}}\n" for number in range(services))
    return f"a.example.org:\n  address: 192.168.0.1\n  services:\n{names}"


class BoundsTestCase(SynchronousTestCase):
    """Reads files."""

    def read(self, text: str, *, steps: int = 1) -> Unit:
        """What a file says, and that it took so many steps at least."""
        reading, count = read("f.yaml", text.encode()), 0
        try:
            while True:
                next(reading)
                count += 1
        except StopIteration as end:
            self.assertGreaterEqual(count, steps)
            unit: Unit = end.value
            return unit


class HostTests(BoundsTestCase):
    """However much a host says."""

    def test_many_services_are_read_a_portion_at_a_time(self) -> None:
        """In both styles, with the same result as few."""
        for established in (False, True):
            unit = self.read(host(MOST_SERVICES, established=established), steps=MOST_SERVICES // FEW_SERVICES)
            offers = unit.entries["a.example.org."].services or ()
            self.assertEqual(unit.problems, ())
            self.assertEqual([offer.name for offer in offers][-1], f"s{MOST_SERVICES - 1}.example.org.")
            self.assertEqual({offer.terms.port for offer in offers}, {80})

    def test_too_many_services_are_refused(self) -> None:
        """With how many there may be."""
        for established in (False, True):
            [line] = self.read(host(MOST_SERVICES + 1, established=established)).problems
            self.assertIn(f"there are {MOST_SERVICES + 1} services: a host may have {MOST_SERVICES}", line)

    def test_a_service_that_stands_twice_among_many_is_told(self) -> None:
        """Where the second one stands."""
        text = host(3 * FEW_SERVICES) + "    S0.example.org.:\n"
        [line] = self.read(text).problems
        self.assertRegex(line, r"f.yaml:[0-9]{3}:5: 'S0.example.org.' is the same name as one above")

    def test_whatever_else_there_is_too_much_of_is_refused(self) -> None:
        """Lists, rules and words that nobody knows."""
        for rest in ("groups: [" + "g, " * MOST_VALUES + "]", "firewall: {user: [" + "{}, " * MOST_VALUES + "]}"):
            [line] = self.read(f"a.example.org: {{address: 192.168.0.1, {rest}}}\n").problems
            self.assertIn(f"more than {MOST_VALUES} keys and values", line)

    def test_what_is_too_much_is_told_where_it_stands(self) -> None:
        """At the first rule that is beyond what a host may have, be it that there are many, or that each says much."""
        head = "a.example.org:\n  address: 192.168.0.1\n  firewall:\n    user:\n"
        before = 1 + 1 + 2 + 2  # the host, its address, the rules and the user's: what is looked into counts twice
        for rule, each in (("{}", 2), ("{priority: 1, direction: EGRESS, target: DROP}", 5)):
            most = (MOST_VALUES - before) // each
            [line] = self.read(head + f"    - {rule}\n" * (most + 1)).problems
            self.assertRegex(line, rf"f.yaml:{4 + most + 1}:[0-9]+: this host has more than {MOST_VALUES} keys")
            said = self.read(head + f"    - {rule}\n" * most).problems
            self.assertFalse([line for line in said if "keys and values" in line])

    def test_a_host_that_is_too_long_is_not_even_parsed(self) -> None:
        """Nor a file that can not be split."""
        [line] = self.read("a.example.org: '" + "x" * MAX_PIECE + "'\n").problems
        self.assertIn(f"this host has more than {MAX_PIECE} octets", line)
        [line] = self.read("{a.example.org: '" + "x" * MAX_PIECE + "'}\n", steps=0).problems
        self.assertIn("can not be read host by host", line)


class LongTests(BoundsTestCase):
    """However long what is no key goes on."""

    def test_where_nothing_begins_others_have_their_turn(self) -> None:
        """Empty lines, comments, a host without end, a line without end: finding that takes a step for each part."""
        for text in ("\n", "\r\n", "#\n", "a.example.org:\n" + "  # b\n" * 1000, "a"):
            self.read(text * (8 * SEARCHED // len(text)), steps=15)

    def test_keys_are_found_wherever_the_parts_end(self) -> None:
        """With their lines, and behind the mark that a file may begin with."""
        for shift in range(-3, 4):
            for mark in ("", "\ufeff"):
                before = SEARCHED + shift - len("#\n") - len(mark.encode())
                text = f"{mark}#{'x' * before}\na.example.org: {{address: 192.168.0.1}}\nb.example.org:\n"
                unit = self.read(
                    text + "  address: 192.168.0.2\n" + "# \n" * SEARCHED + "c.example.org: {address: 192.168.0.3}\n"
                )
                self.assertEqual(unit.problems, ())
                self.assertEqual(unit.lines, {"a.example.org.": 2, "b.example.org.": 3, "c.example.org.": SEARCHED + 5})


class WordsTests(BoundsTestCase):
    """However much is wrong."""

    def test_of_many_problems_the_first_are_told(self) -> None:
        """And how many there are beside them."""
        for text in ("a.example.org:\n" * 50_000, "".join(f"a{n}.example.org: {{x: }}\n" for n in range(30_000))):
            lines = self.read(text).problems
            self.assertEqual(len(lines), MOST_OF_ONE + 1)
            self.assertRegex(lines[-1], r"and [0-9]+ problems more")
            self.assertLess(sum(map(len, lines)), (MAX_PROBLEM + 50) * len(lines))

    def test_long_values_are_not_quoted_as_a_whole(self) -> None:
        """Where they begin is enough to find them."""
        value = "y" * 500_000
        for text in (
            f"a.example.org: {{address: {value}}}\n",
            f"a.example.org: {{{value}: 1, address: 192.168.0.1}}\n",
            f"{value}: {{address: 192.168.0.1}}\n",
            f"a.example.org: !{value} {{address: 192.168.0.1}}\n",
            f"a.example.org: *{value}\n",
            f"a.example.org: {{? [{value}] : 1}}\n",
        ):
            lines = self.read(text).problems
            self.assertTrue(lines, text[:50])
            self.assertLess(max(map(len, lines)), MAX_PROBLEM + 50)

    def test_a_short_value_is_quoted_as_it_is(self) -> None:
        """Nothing of the message is lost."""
        [line] = self.read("a.example.org: {address: here, services: {x.example.org: }}\n").problems
        self.assertTrue(line.endswith("'here' is no address: write one like 192.0.2.1 or 2001:db8::1"), line)


class FinishTests(SynchronousTestCase):
    """What is long and good."""

    def test_a_long_file_is_not_refused(self) -> None:
        """If its hosts are not."""
        text = "".join(
            f"a{n}.example.org: {{address: 10.0.{n // 250}.{n % 250 + 1}}} # {'x' * 900}\n" for n in range(3000)
        )
        unit = finish(read("f.yaml", text.encode()))
        self.assertEqual((unit.problems, len(unit.entries)), ((), 3000))
