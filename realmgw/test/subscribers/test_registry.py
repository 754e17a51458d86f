"""Tests for `realmgw.subscribers.registry`: what follows from a change; that it comes to the same as a fresh start."""

from __future__ import annotations

from ipaddress import IPv6Address
from random import Random

import attrs
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.steps import finish
from realmgw.errors import RealmGatewayError
from realmgw.subscribers.files.incremental import Unit, read
from realmgw.subscribers.reach import Around
from realmgw.subscribers.realm import Realm
from realmgw.subscribers.registry import Changes, Registry
from realmgw.test.subscribers.examples import ZONES


def host(label: str, last: int, *services: str, limit: int = 9) -> str:
    """A subscriber's text."""
    names = ", ".join(f"{each}.example.org: {{protocol: tcp, port: 80}}" for each in services)
    return f"{label}.example.org: {{address: 192.168.0.{last}, max_claims: {limit}, services: {{{names}}}}}\n"


class RegisterTestCase(SynchronousTestCase):
    """A registry, and the sources that it is told of."""

    def setUp(self) -> None:
        """Nothing is known yet."""
        self.registry = Registry()
        self.said: dict[str, Unit] = {}

    def look(self, *zones: str) -> Changes:
        """The sources say what they said, and the gateway has other zones."""
        realm = Realm(attrs.evolve(ZONES[0], name=zone) for zone in zones)
        changes = finish(self.registry.changes([self.said[source] for source in sorted(self.said)], realm))
        finish(self.registry.commit(changes))
        return changes

    def say(self, **texts: str | None) -> Changes:
        """Sources say something else, or are no more; the changes, which come true."""
        for source, text in texts.items():
            former = self.said.pop(source, None)
            if text is not None:
                self.said[source] = finish(read(source, text.encode(), former))
        changes = finish(self.registry.changes([self.said[source] for source in sorted(self.said)], ZONES))
        finish(self.registry.commit(changes))
        return changes

    def state(self) -> dict[str, tuple[object, ...]]:
        """Everything that is in force, without indices."""
        directory = self.registry.directory
        return {
            name: (service.host.name, service.host.address, service.host.profile.max_claims, service.terms.port)
            for name, service in directory.services.items()
        }


class FamiliesTests(RegisterTestCase):
    """Hosts with addresses of IPv6, or of both families."""

    def problems(self, source: str) -> tuple[str, ...]:
        """What is wrong with a source."""
        return self.registry.units[source].problems

    def test_an_address_belongs_to_one_host(self) -> None:
        """In each family by itself, further ones among them, however they are written and in whichever style."""
        self.say(a="a.example.org: {address: [192.168.0.1, 'fd00::1'], other_addresses: ['fd00::2', 192.168.0.2]}\n")
        for text, address in (
            ("{address: 'FD00:0::1'}", "fd00::1"),
            ("{address: ['fd00::2', 192.168.0.9]}", "fd00::2"),
            ("{address: 'fd00::9', other_addresses: ['fd00::1']}", "fd00::1"),
            ("{address: 192.168.0.2}", "192.168.0.2"),
            ("{ID: {IPV4: [192.168.0.9], IPV6: ['fd00::9', 'fd00:0:0::2']}}", "fd00::2"),
        ):
            self.say(b=f"b.example.org: {text}\n")
            [line] = self.problems("b")
            self.assertIn(f"{address} belongs to a.example.org. of a already", line)
        self.say(b="b.example.org: {address: 'fd00::9', other_addresses: ['fd00::9']}\n")
        self.assertIn("fd00::9 belongs to b.example.org. of this file already", self.problems("b")[0])

    def test_a_host_is_found_at_each_of_its_addresses(self) -> None:
        """As long as it has them; those that it has no more are told, so that their flows end."""
        four, six = bytes([192, 168, 0, 1]), bytes.fromhex(f"fd{1:030x}")
        self.say(a="a.example.org: {address: [192.168.0.1, 'fd00::1']}\n")
        for address in (four, six):
            found = self.registry.host_at(address)
            assert found is not None
            self.assertEqual((found.address, found.address6), (four, six))
        changes = self.say(a="a.example.org: {address: 192.168.0.1}\n")
        self.assertEqual((changes.addresses_gone, changes.addresses_came), ({six}, set()))
        self.assertIsNone(self.registry.host_at(six))
        changes = self.say(a="a.example.org: {address: 'fd00::1'}\n")
        self.assertEqual((changes.addresses_gone, changes.addresses_came), ({four}, {six}))
        self.assertIsNone(self.registry.host_at(b""))
        self.assertEqual(self.say(a=None).addresses_gone, {six})

    def test_what_the_realm_refuses_later_is_told_in_each_family(self) -> None:
        """Hosts that nobody wrote differently stay."""
        self.say(a="a.example.org: {address: 'fd00::1'}\n", b="b.example.org: {address: [192.168.0.1, 'fd00::2']}\n")
        units = [self.said[source] for source in sorted(self.said)]
        around = Around(own=frozenset((IPv6Address("fd00::1"), IPv6Address("fd00::2"))))
        changes = finish(self.registry.changes(units, Realm(ZONES, around=around)))
        self.assertEqual(
            [line.split(": ")[-2] for line in changes.problems],
            ["fd00::1 is the gateway's own address", "fd00::2 is the gateway's own address"],
        )
        finish(self.registry.commit(changes))
        self.assertEqual(len(self.registry.directory.hosts), 2)


class ChangesTests(RegisterTestCase):
    """What is told."""

    def test_tells_hosts_that_come_change_and_go(self) -> None:
        """Each once, with the services of the new directory."""
        self.say(a=host("a", 1, "x") + host("b", 2, "y"))
        changes = self.say(a=host("b", 2, "y", limit=5) + host("c", 3, "z"))
        self.assertEqual([each.name for each in changes.added], ["c.example.org."])
        self.assertEqual([each.name for each in changes.removed], ["a.example.org."])
        self.assertEqual([(old.profile.max_claims, new.profile.max_claims) for old, new in changes.changed], [(9, 5)])
        self.assertEqual(changes.names_gone, ["x.example.org."])
        self.assertEqual(changes.addresses_gone, {bytes([192, 168, 0, 1])})
        self.assertEqual(changes.addresses_came, {bytes([192, 168, 0, 3])})

    def test_what_is_written_differently_but_says_the_same_is_no_change(self) -> None:
        """Comments, order, and the file that it stands in."""
        self.say(a=host("a", 1, "x") + host("b", 2, "y"))
        before = dict(self.registry.directory.services)
        self.assertFalse(self.say(a="# turned around\n" + host("b", 2, "y"), b=host("a", 1, "x")))
        for name, service in self.registry.directory.services.items():
            self.assertIs(before[name], service)

    def test_target_that_still_leads_somewhere_is_not_gone(self) -> None:
        """A service that was only renamed keeps its claims."""
        self.say(a=host("a", 1, "x"))
        changes = self.say(a=host("a", 1, "w"))
        self.assertEqual((changes.names_gone, changes.targets_gone), (["x.example.org."], set()))

    def test_nothing_is_done_before_the_commit(self) -> None:
        """And the same sources tell the same again."""
        self.say(a=host("a", 1, "x"))
        self.said["a"] = finish(read("a", host("b", 2, "y").encode(), self.said["a"]))
        for _ in range(2):
            changes = finish(self.registry.changes(self.said.values(), ZONES))
            self.assertEqual([each.name for each in changes.added], ["b.example.org."])
            self.assertEqual(list(self.state()), ["x.example.org."])


class RefusalTests(RegisterTestCase):
    """Sources that can not be believed."""

    def test_who_has_it_keeps_it(self) -> None:
        """A name or an address of another host; the refused source says what it said before."""
        self.say(a=host("a", 1, "x"), b=host("b", 2, "y"))
        for text in (host("b", 1, "y"), host("b", 2, "x"), host("a", 3, "z")):
            changes = self.say(b=text)
            self.assertFalse(changes)
            self.assertTrue(changes.problems[0].startswith(f"b:1:1: {text.partition(':')[0]}.: "), changes.problems)

    def test_names_outside_the_zones_are_refused(self) -> None:
        """With what to write instead."""
        changes = self.say(a="a.example.net: {address: 192.168.0.1}\n")
        self.assertIn("lies outside our zones", changes.problems[0])

    def test_hosts_outside_other_zones_stay_and_are_told(self) -> None:
        """Until they are written differently, or the zones come back; who comes then is refused."""
        self.say(a=host("a", 1, "x"), b=host("b", 2, "y"))
        changes = self.look("example.net.")
        self.assertEqual([problem.partition(": ")[0] for problem in changes.problems], ["a", "b"])
        self.assertIn("lies outside our zones: write a name within example.net.", changes.problems[0])
        self.assertFalse(changes)
        self.assertEqual(len(self.look("example.net.").problems), 2)
        self.said["b"] = finish(read("b", b"b.example.net: {address: 192.168.0.2}\n", self.said["b"]))
        self.assertEqual([line.partition(": ")[0] for line in self.look("example.net.").problems], ["a"])
        self.assertEqual(self.look("example.net.", "example.org.").problems, ())

    def test_a_group_that_there_is_not_is_told_where_it_is_written(self) -> None:
        """By file, line and column, in either style and however it was read; where there are no groups, any will do."""
        realm = Realm(ZONES, groups=["basic", "free"])
        plain = "# who\n{0}.example.org:\n  address: 192.168.0.{1}\n  groups: [basic, basis]\n"
        old = "{0}.example.org:\n  ID: {{IPV4: [192.168.0.{1}]}}\n  SFQDN: []\n  GROUP:\n    - basis\n"
        flow = "{0}.example.org: {{address: 192.168.0.{1}, groups: [basis]}}\n"
        for text, line, column in ((plain, 4, 11), (old, 5, 5), (flow, 1, 48)):
            every = "".join(text.format(f"h{at}", at) for at in range(1, 10))
            unit = finish(read("a", every.encode()))
            lines, size = finish(Registry().changes([unit], realm)).problems, text.count("\n")
            self.assertEqual(len(lines), 9)
            places = [each.split(": ")[0] for each in lines]
            self.assertEqual(places[:2], [f"a:{line}:{column}", f"a:{line + size}:{column}"])
            self.assertIn(places[8], [f"a:{line + 8 * size}:{each}" for each in (column, 1)])
            self.assertIn("h1.example.org.: there is no group 'basis'", lines[0])
            self.assertIn("did you mean 'basic'?", lines[0])
            self.assertEqual(finish(Registry().changes([unit], Realm(ZONES))).problems, ())

    def test_groups_of_hosts_can_not_be_left_out(self) -> None:
        """Their rules would hold no more: all is refused, and said; hosts that are told otherwise at once may move."""
        said = "a.example.org: {address: 192.168.0.1, groups: [basic]}\n"
        unit = finish(read("a", said.encode()))
        finish(self.registry.commit(finish(self.registry.changes([unit], Realm(ZONES, groups=["basic", "free"])))))
        for groups in ((), ("basic",), ("basic", "late")):
            finish(self.registry.changes([unit], Realm(ZONES, groups=groups)))
        with self.assertRaisesRegex(RealmGatewayError, "(?s)leaves out.*a: a.example.org.: there is no group 'basic'"):
            finish(self.registry.changes([unit], Realm(ZONES, groups=["free"])))
        moved = finish(read("a", said.replace("basic", "free").encode(), unit))
        changes = finish(self.registry.changes([moved], Realm(ZONES, groups=["free"])))
        self.assertEqual((len(changes.changed), changes.problems), (1, ()))

    def test_a_refused_source_takes_nothing_away(self) -> None:
        """What it would have given up is not given to others."""
        self.say(a=host("a", 1, "x"), b=host("b", 2, "y"))
        changes = self.say(a=host("c", 9, "x") + host("d", 2, "w"), b=host("b", 3, "x"))
        self.assertFalse(changes)
        self.assertEqual(len({problem.partition(":")[0] for problem in changes.problems}), 2)

    def test_two_sources_may_change_places(self) -> None:
        """What both give up is free for either."""
        self.say(a=host("a", 1, "x"), b=host("b", 2, "y"))
        changes = self.say(a=host("a", 2, "y"), b=host("b", 1, "x"))
        self.assertEqual(changes.problems, ())
        self.assertEqual(self.state()["x.example.org."][0], "b.example.org.")


class RandomTests(RegisterTestCase):
    """Whatever was there before."""

    def test_comes_to_the_same_as_a_fresh_start(self) -> None:
        """With the same texts, when none of them is refused; and indices never change hands."""
        random, owners = Random(1), dict[int, str]()
        for _ in range(300):
            texts = {
                source: "".join(
                    host(
                        f"{source}{number}",
                        10 * ord(source) % 200 + number,
                        f"s{source}{number}",
                        limit=random.randint(1, 3),
                    )
                    for number in random.sample(range(9), random.randint(0, 9))
                )
                for source in random.sample("abc", 2)
            }
            changes = self.say(**texts)
            self.assertEqual(changes.problems, ())
            fresh = Registry()
            units = [self._again(name) for name in sorted(self.said)]
            finish(fresh.commit(finish(fresh.changes(units, ZONES))))
            mine, self.registry = self.registry, fresh
            expected = self.state()
            self.registry = mine
            self.assertEqual(self.state(), expected)
            for index, each in mine.directory.hosts.items():
                self.assertEqual(owners.setdefault(index, each.name), each.name)

    def setUp(self) -> None:
        """Nothing was said yet."""
        super().setUp()
        self.kept: dict[str, str] = {}

    def say(self, **texts: str | None) -> Changes:
        """Remembers the texts, too."""
        self.kept.update((name, text or "") for name, text in texts.items())
        return super().say(**texts)

    def _again(self, name: str) -> Unit:
        return finish(read(name, self.kept[name].encode(), None))
