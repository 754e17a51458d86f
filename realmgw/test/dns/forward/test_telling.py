"""What a gateway and its forwarder tell each other: there and back."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import PurePath
from typing import Any

import attrs
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config import settings
from realmgw.config.namelists import Verdict
from realmgw.config.policy import ResolverGroup
from realmgw.config.steps import PORTION
from realmgw.dns.forward import telling
from realmgw.dns.forward.policy import NameSet
from realmgw.dns.forward.telling import Hearing, Rules, handed_back, taken_back, together, told
from realmgw.test.dns import realm

MANY = {b"\4%04d\3net\0" % number: Verdict.NXDOMAIN for number in range(PORTION + 1)}
BELOW = {b"\3net\0": Verdict.PASS}
LISTS = (settings.NameList("ads", PurePath("ads")), settings.NameList("good", PurePath("good"), allow=True))
FORWARD = settings.Forwarding(lists=LISTS)
SETTINGS = settings.Settings(
    "gateway", realm.ZONES, settings.Interfaces("wan", ("lan",)), settings.Pools(()), settings.Dns(forward=FORWARD)
)
SETS = (NameSet(LISTS[0], MANY, {}), NameSet(LISTS[1], {}, BELOW))


def heard(hearing: Hearing, number: int) -> list[Rules]:
    """The rules that come of the news."""
    found = [hearing.hear(news) for news in told(number, SETTINGS, SETS)]
    return [each for each in found if each is not None]


class RulesTests(SynchronousTestCase):
    """By what is answered."""

    def test_rules_come_whole(self) -> None:
        """Settings with their zones, and lists with their names, at the end of the news and not before."""
        hearing = Hearing()
        for _ in range(2):
            [rules] = heard(hearing, 7)
            self.assertEqual((rules.number, rules.settings), (7, SETTINGS))
            self.assertEqual([(each.rules, each.exact, each.below) for each in rules.lists], [
                (each.rules, each.exact, each.below) for each in SETS
            ])  # fmt: skip

    def test_news_are_small(self) -> None:
        """So many names at a time, whatever a list has."""
        sizes = [len(news[-1]) for news in told(1, SETTINGS, SETS) if news[0] == telling.LISTED]
        self.assertEqual(sizes, [PORTION, 1, 1])

    def test_what_was_begun_anew_counts(self) -> None:
        """Nothing is left of rules that were not told to their end."""
        hearing = Hearing()
        for news in [*told(1, SETTINGS, (NameSet(LISTS[0], {b"\3old\0": Verdict.NXDOMAIN}, {}),))][:-1]:
            self.assertIsNone(hearing.hear(news))
        [rules] = heard(hearing, 2)
        self.assertEqual((rules.number, rules.lists[0].exact), (2, MANY))

    def test_settings_go_without_zones_at_first(self) -> None:
        """These come some at a time; and nothing goes that names are not answered by, however long it is."""
        groups = tuple(ResolverGroup((ip_network(f"10.0.{number}.0/24"),)) for number in range(256))
        policy, places = settings.Policy(groups=groups), {f"policy.groups.{number}": "f:1" for number in range(256)}
        _, _, first = next(iter(told(1, attrs.evolve(SETTINGS, policy=policy, places=places), ())))
        self.assertEqual((first, first.places), (attrs.evolve(SETTINGS, zones=()), {}))


class ReturnedTests(SynchronousTestCase):
    """What is handed back."""

    def test_there_and_back(self) -> None:
        """Of both families, also from a link-local address."""
        for sent in ((0, "192.0.2.7", 40112, b"query"), (300, "fe80::1%lan0", 65535, b"")):
            self.assertEqual(taken_back(handed_back(*sent)), sent)


class CountsTests(SynchronousTestCase):
    """Counts of both together."""

    def test_sums_and_what_is_none(self) -> None:
        """Numbers and distributions are added; what a resolver is like says who asked it."""
        ours: dict[str, Any] = {
            "lan": {"queries": 2, "seconds": {"bounds": [1.0], "counts": [1, 2], "sum": 0.5}},
            "resolver": {"answers": 1, "milliseconds": 9.5, "resting": False, "trouble": ""},
            "list": {"names": 5, "decided": 1},
        }
        theirs: dict[str, Any] = {
            "lan": {"queries": 3, "seconds": {"bounds": [1.0], "counts": [3, 4], "sum": 1.0}, "tcp_open": 0},
            "resolver": {"answers": 2, "milliseconds": 1.5, "resting": True, "trouble": "no answer"},
            "list": {"names": 5, "decided": 2},
        }
        self.assertEqual(
            together(ours, theirs),
            {
                "lan": {
                    "queries": 5, "tcp_open": 0, "seconds": {"bounds": [1.0], "counts": [4, 6], "sum": 1.5},
                },
                "resolver": {"answers": 3, "milliseconds": 1.5, "resting": True, "trouble": "no answer"},
                "list": {"names": 5, "decided": 3},
            },
        )  # fmt: skip

    def test_what_is_past(self) -> None:
        """Of who has ended, nothing is under way or kept."""
        counts = {"forward": {"questions": 3, "kept": 2, "outstanding": 1}, "resolver": {"answers": 1, "resting": True}}
        self.assertEqual(telling.past(counts), {"forward": {"questions": 3}, "resolver": {"answers": 1}})
