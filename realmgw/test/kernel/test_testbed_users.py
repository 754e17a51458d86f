"""`testbed/matrix`: what the users of real resolvers meet, in short; and its parts, each by itself."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import dns.flags
import dns.message
import dns.rcode
from twisted.trial.unittest import SynchronousTestCase

from realmgw.test import programs
from realmgw.test.kernel import requirements
from realmgw.test.kernel.realm_case import PREFIX

if TYPE_CHECKING:
    from testbed.programs.users import Cell, Crowded

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.load import generator
    from testbed.measuring import figures
    from testbed.player import crowd
    from testbed.programs import allowed, matrix, users, users_table
    from testbed.programs.users import AMPLE, TIGHT, Situation
    from testbed.realm import root, settings, shipped

SECONDS = 1.0
"""How long clients come in the short form."""
AT_ONCE = 4
"""So many resolvers side by side."""


class KeptTests(SynchronousTestCase):
    """Cells that earlier runs have measured."""

    skip = programs.missing_modules("testbed")

    def test_cells_of_the_same_commit_and_plan_are_put_together(self) -> None:
        """In the order of the table; one measured again counts as it is now. Another commit has none of them."""
        self.patch(matrix, "KEPT", Path(self.mktemp()) / "kept.json")
        self.patch(figures, "commit", lambda: "abc")
        bind, unbound = (users.Cell(name, Situation(TIGHT).title, None, trouble="old") for name in ("BIND", "unbound"))
        self.assertEqual(matrix.together([bind], matrix.FULL), [bind])
        self.assertEqual(matrix.together([unbound], matrix.FULL), [unbound, bind])
        again = users.Cell("BIND", Situation(TIGHT).title, None, trouble="new")
        self.assertEqual(matrix.together([again], matrix.FULL), [unbound, again])
        self.assertEqual(matrix.together([], matrix.BRIEF), [])
        self.patch(figures, "commit", lambda: "def")
        self.assertEqual(matrix.together([bind], matrix.FULL), [bind])


class RootTests(SynchronousTestCase):
    """The root of the DNS at which resolvers begin."""

    skip = programs.missing_modules("testbed")

    def ask(self, name: str, kind: str = "A") -> dns.message.Message:
        """What it says to a question."""
        return root.answer(dns.message.make_query(name, kind))

    def test_refers_to_the_gateway_for_whatever_is_below_the_realm(self) -> None:
        """With glue, and without authority."""
        for name in ("gwa.demo.", "http.host7.gwa.demo.", "abc.cname-gwa.demo."):
            reply = self.ask(name)
            self.assertFalse(reply.flags & dns.flags.AA)
            self.assertEqual([rrset.to_text().split()[3] for rrset in reply.authority], ["NS"])
            self.assertIn("100.64.1.130", reply.additional[0].to_text())

    def test_knows_itself(self) -> None:
        """Its name servers, and their address, as resolvers check their hints with."""
        self.assertIn(root.NAME, self.ask(".", "NS").answer[0].to_text())
        self.assertIn(root.ROOT, self.ask(root.NAME).answer[0].to_text())

    def test_what_stands_above_something_is_there(self) -> None:
        """A resolver that minimises asks for it, and takes NXDOMAIN for the end; what is nowhere does not exist."""
        self.assertEqual(self.ask("demo.").rcode(), dns.rcode.NOERROR)
        self.assertEqual(self.ask("net.").rcode(), dns.rcode.NOERROR)
        self.assertEqual(self.ask("org.").rcode(), dns.rcode.NXDOMAIN)


class ShippedTests(SynchronousTestCase):
    """The configuration of a package."""

    skip = programs.missing_modules("testbed")

    def test_only_what_can_not_be_so_is_left_out(self) -> None:
        """In the order of the files; one that is not there says nothing."""
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "a").write_text("# comment\nlisten: here\nprefetch: yes\n")
        (folder / "c").write_text("ttl: 5\n")
        text = shipped.shipped(folder / "a", folder / "b", folder / "c", without="^listen:")
        self.assertEqual(text, "# comment\nprefetch: yes\nttl: 5\n")

    def test_a_setting_comes_last(self) -> None:
        """So that it counts, whatever the package says."""
        for title, kind in settings.KINDS.items():
            folder = Path(self.mktemp())
            folder.mkdir()
            words = kind.configure(shipped.Site(folder, "100.64.3.10", "program", lines=("so=it-is",)))
            text = "".join(path.read_text() for path in folder.iterdir()) + "\n".join(words)
            self.assertIn("so=it-is", text, title)
            self.assertIn("100.64.3.10", text.partition("so=it-is")[0], title)


class SettingsTests(SynchronousTestCase):
    """The rows."""

    skip = programs.missing_modules("testbed")

    def test_titles_are_different_and_kinds_are_there(self) -> None:
        """Every resolver of Debian is there as it comes."""
        titles = [row.title for row in settings.ROWS]
        self.assertEqual(len(set(titles)), len(titles))
        self.assertEqual({row.resolver for row in settings.ROWS if row.usual}, set(settings.KINDS))
        self.assertTrue(all(row.lines or row.usual for row in settings.ROWS))

    def test_part_of_a_title_chooses(self) -> None:
        """And nothing else is measured."""
        chosen = list(matrix.wanted(matrix.FULL, "unbound, minimisation off: tight"))
        if settings.KINDS["unbound"].missing() is None:
            self.assertEqual([(row.setting, column.pool) for row, column in chosen], [(settings.OFF, TIGHT)])
        self.assertEqual(list(matrix.wanted(matrix.FULL, "no such")), [])


class SituationTests(SynchronousTestCase):
    """The columns."""

    skip = programs.missing_modules("testbed")

    def test_names_below_a_host_lead_to_it(self) -> None:
        """The host's own name stands above them."""
        below, flat = Situation(AMPLE, nested=True), Situation(AMPLE)
        self.assertEqual(below.names(["192.168.0.100"]), {"http.host0.gwa.demo.": "192.168.0.100"})
        self.assertEqual(flat.names(["192.168.0.100"]), {"host0.gwa.demo.": "192.168.0.100"})
        self.assertEqual([each.fqdn for each in below.subscribers(["192.168.0.100"])[0].services], [*below.names([""])])

    def test_clients_of_two_resolvers_share_no_network(self) -> None:
        """A hundred each."""
        one, other = users.clients(0), users.clients(1)
        self.assertEqual((len(set(one)), len(set(other))), (100, 100))
        networks = [{address.rpartition(".")[0] for address in each} for each in (one, other)]
        self.assertFalse(networks[0] & networks[1])


class CrowdTests(SynchronousTestCase):
    """Clients of one resolver."""

    skip = programs.missing_modules("testbed")

    def test_a_plan_comes_through_its_file(self) -> None:
        """As it was."""
        plan = crowd.Plan("192.0.2.1", ("192.0.2.2",), {"a.": "192.0.2.3"}, 40.0, 1.0, (0.0, 0.1), 7.5, 3)
        path = Path(self.mktemp())
        crowd.write(plan, path)
        self.assertEqual(crowd.read(path), plan)

    def test_time_added_is_without_the_clients_own_pause(self) -> None:
        """Who was not served has none."""
        self.assertAlmostEqual(crowd.Visit(0.0, 0.3, crowd.SERVED, 0.25, 0.5).added, 0.75)
        self.assertTrue(math.isnan(crowd.Visit(0.0, 0.3, crowd.WRONG, 0.25, 0.5).added))


def crowded(served: int, *, wrong: int = 0, early: int = 0, reputation: float = 0.9) -> Crowded:
    """A hundred visits; `early` of the wrong ones while the gateway was still learning."""
    ends = {crowd.SERVED: served, crowd.WRONG: wrong, "SERVFAIL": 100 - served - wrong}
    later = {**ends, crowd.WRONG: wrong - early}
    return users.Crowded(ends, later, (0.001, 0.002), reputation, {"ok": served}, 0.0)


class AllowedTests(SynchronousTestCase):
    """What the rule of a pool allows."""

    skip = programs.missing_modules("testbed")

    def test_as_many_addresses_as_hosts_are_enough(self) -> None:
        """However long answers are kept; with fewer, of hosts that always need one, the others have none."""
        self.assertAlmostEqual(allowed.served(20, 20, 1.0), 1.0)
        self.assertAlmostEqual(allowed.served(16, 20, 1.0), 0.8)
        self.assertAlmostEqual(allowed.served(1, 2, 0.5), 0.75)

    def test_who_keeps_answers_for_longer_needs_addresses_for_longer(self) -> None:
        """And one that asks again at each hit for longer still; beside another one, a host needs one for either."""
        kept = [settings.Row("BIND", kept=seconds) for seconds in (0.0, 1.0, 5.0, 60.0)]
        parts = [allowed.busy(row, 2.0, (0.0, 0.1, 0.3)) for row in kept]
        self.assertEqual(parts, sorted(parts))
        self.assertGreater(allowed.busy(settings.Row("BIND", kept=1.0, renewed=True), 2.0, (0.0,)), parts[0])
        alone, beside = allowed.share(16, 20, 40.0, kept[1:2], (0.3,)), allowed.share(16, 20, 40.0, kept[:2], (0.3,))
        self.assertLess(alone, beside)  # half of the clients come by one that keeps nothing


class JudgingTests(SynchronousTestCase):
    """What is demanded."""

    skip = programs.missing_modules("testbed")

    def cell(self, row: str, column: Situation, clients: Crowded | None, others: Crowded | None = None) -> Cell:
        """One of them."""
        return users.Cell(row, column.title, clients, others, {"query policy": 3})

    def unmet(self, *cells: Cell) -> Mapping[str, str]:
        """The targets that these cells do not meet, by the beginning of their text -> the figure."""
        verdicts = users_table.judge(users_table.by_title(cells))
        return {verdict.target.partition(":")[2].strip(): verdict.figure for verdict in verdicts if not verdict.met}

    def test_everybody_is_well(self) -> None:
        """Then nothing is unmet."""
        below, beside = Situation(TIGHT, nested=True), Situation(TIGHT, nested=True, beside=True)
        well = crowded(100)
        cells = [self.cell(row, below, well) for row in ("BIND", "unbound")]
        self.assertEqual(self.unmet(*cells, self.cell("unbound", beside, well, well)), {})

    def test_one_wrong_host_is_too_many(self) -> None:
        """For a resolver as it comes, whichever of two sent the client; not for one with a setting."""
        beside = Situation(TIGHT, nested=True, beside=True)
        bind = self.cell("BIND", Situation(TIGHT, nested=True), crowded(100))
        cell = self.cell("unbound", beside, crowded(100), crowded(99, wrong=1))
        self.assertEqual(list(self.unmet(bind, cell)), ["nobody reaches a wrong host"])
        other = self.cell("unbound, serve stale", beside, crowded(90, wrong=10))
        self.assertEqual(self.unmet(bind, other), {})

    def test_one_that_keeps_answers_has_to_be_known_first(self) -> None:
        """What went wrong before that is no fault."""
        learned = crowded(90, wrong=2, early=2), crowded(90, wrong=2, early=1)
        cells = [self.cell("unbound, minimum TTL 60 s", Situation(AMPLE), each) for each in learned]
        self.assertEqual(self.unmet(cells[0]), {})
        (target,) = self.unmet(cells[1])
        self.assertEqual(target, "nobody does after 15 s (until then 1 did, and 0 of 1 were refused)")

    def test_shares_of_a_tight_pool_are_those_of_bind_alone(self) -> None:
        """Whose clients have less than 97 % of that are starved, also those of BIND beside another one."""
        below, beside = Situation(TIGHT, nested=True), Situation(TIGHT, nested=True, beside=True)
        bind = self.cell("BIND", below, crowded(90))
        self.assertEqual(self.unmet(bind, self.cell("unbound", below, crowded(88))), {})
        (figure,) = self.unmet(bind, self.cell("unbound", beside, crowded(90), crowded(80))).values()
        self.assertIn("unbound: tight, below, beside BIND: 80.00 % of 90.00 %", figure)

    def test_who_keeps_answers_has_half_of_a_pool_beside_others(self) -> None:
        """Alone it may have all of it; the others' clients find enough in the rest."""
        alone, beside = Situation(TIGHT, nested=True), Situation(TIGHT, nested=True, beside=True)
        own, _ = users_table.possible(self.cell("Knot Resolver", alone, None))
        self.assertAlmostEqual(own, 0.8, places=2)  # sixteen addresses for twenty hosts
        own, other = users_table.possible(self.cell("Knot Resolver", beside, None))
        self.assertAlmostEqual(own, 0.4, places=2)
        self.assertGreater(other, users_table.ALMOST)

    def test_an_ample_pool_serves_everybody(self) -> None:
        """And all are in good standing."""
        unmet = self.unmet(self.cell("unbound", Situation(AMPLE), crowded(99, reputation=0.5)))
        self.assertEqual(sorted(unmet), ["everybody is served", "reputation at least 0.8"])

    def test_one_that_does_not_start_is_named(self) -> None:
        """With its last words, in its own row only."""
        cell = users.Cell("unbound", Situation(AMPLE).title, None, trouble="unbound did not start:\nno | good")
        table, verdicts = users_table.report([cell, self.cell("BIND", Situation(AMPLE), crowded(100))])
        self.assertIn("unbound did not start:; no / good", table)
        self.assertEqual([verdict.met for verdict in verdicts].count(False), 1)

    def test_cells_are_kept_in_json(self) -> None:
        """And are the same afterwards."""
        cell = self.cell("unbound", Situation(AMPLE), crowded(99), crowded(98))
        self.assertEqual(users.cell_of(users.plain(cell)), cell)


class UsersTests(SynchronousTestCase):
    """The short form, with the gateway's own defaults."""

    skip = requirements.missing_for_gateway() or programs.missing("make", "cc")

    def test_clients_of_every_resolver_as_it_comes_reach_their_host(self) -> None:
        """With names below their host's name, which some of them probe for, and a pool that has room."""
        generator.build()
        rows = [row for row in settings.ROWS if row.usual and row.missing is None]
        prefixes = [f"{PREFIX}users{number}-" for number in range(AT_ONCE)]

        def one(row: settings.Row) -> Cell:
            prefix = prefixes.pop()
            try:
                return users.measure(row, Situation(AMPLE, nested=True), SECONDS, prefix=prefix)
            finally:
                prefixes.append(prefix)

        with ThreadPoolExecutor(AT_ONCE) as pool:
            cells = list(pool.map(one, rows))
        for cell in cells:
            assert cell.clients is not None, cell.trouble
            self.assertEqual(set(cell.clients.ends), {crowd.SERVED}, cell)
