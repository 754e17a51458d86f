"""Tests for `realmgw.datapath.neighbours.answering`."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network

import attrs
from twisted.trial.unittest import SynchronousTestCase

from realmgw.datapath.neighbours import messages
from realmgw.datapath.neighbours.answering import LOOK, RATE, SHARE, Answers
from realmgw.test.datapath.neighbours.solicitations import NOBODY, OWN_LINK, TARGET, solicitation

ON_LINK = IPv6Network("2001:db8:0:1:5::/80")
ROUTED = IPv6Address("3fff::9").packed


class AnswersTests(SynchronousTestCase):
    """`Answers`: who is told."""

    def setUp(self) -> None:
        self.live = {TARGET}
        self.answers = Answers(self.live.__contains__)
        self.answers.configure([ON_LINK])

    def ask(self, target: bytes = TARGET, now: float = 1.0) -> bool:
        """Whether a solicitation is answered."""
        return self.answers.answer(solicitation(target), OWN_LINK, now) is not None

    def assert_counted(self, **expected: int) -> None:
        """That, and nothing else."""
        found = {name: count for name, count in attrs.asdict(self.answers.counts).items() if count}
        self.assertEqual(found, expected)

    def test_address_that_lives_is_answered_for(self) -> None:
        """Who wants to have it himself is told, too."""
        self.assertTrue(self.ask())
        taken = self.answers.answer(solicitation(source=NOBODY, options=b""), OWN_LINK, 1.0)
        self.assertEqual(taken, messages.announcement(TARGET, OWN_LINK))
        self.assert_counted(answered=2)

    def test_unclaimed_address_is_not(self) -> None:
        """Nor one whose claim is over."""
        self.assertFalse(self.ask(TARGET[:-1] + b"\7"))
        self.live.clear()
        self.assertFalse(self.ask())
        self.assert_counted(unclaimed=2)

    def test_routed_prefix_never_is(self) -> None:
        """Whatever lives there."""
        self.live.add(ROUTED)
        self.assertFalse(self.ask(ROUTED))
        self.answers.keep([ROUTED], 1.0)
        self.assertFalse(self.ask(ROUTED))

    def test_malformed_solicitation_is_not(self) -> None:
        """It is counted."""
        self.assertIsNone(self.answers.answer(solicitation(hops=64), OWN_LINK, 1.0))
        self.assert_counted(malformed=1)

    def test_answers_have_a_rate(self) -> None:
        """Beyond it they are counted only; a moment later there is room again."""
        self.assertEqual(sum(self.ask(now=100.0) for _ in range(RATE + 5)), RATE)
        self.assert_counted(answered=RATE, limited=5)
        self.assertEqual(sum(self.ask(now=100.0 + 10 / RATE) for _ in range(20)), 10)

    def test_flow_of_an_earlier_run_lives(self) -> None:
        """Until conntrack has it no more, which is looked at when the address is asked for, now and then."""
        self.live.clear()
        self.answers.keep([TARGET], now=10.0)
        self.assertFalse(self.answers.is_due(10.0 + LOOK))
        self.assertTrue(self.ask())
        self.assertEqual([self.answers.is_due(10.0 + each) for each in (LOOK / 2, LOOK)], [False, True])
        self.answers.keep([TARGET], now=10.0 + LOOK)
        self.assertFalse(self.answers.is_due(10.0 + 2 * LOOK))
        self.answers.keep([], now=10.0 + LOOK)
        self.assertFalse(self.ask())

    def test_who_knows_an_address_makes_us_look(self) -> None:
        """A router that has it asks itself for it; who asks the group may have made it up."""
        self.live.clear()
        self.ask(now=LOOK)
        self.assertFalse(self.answers.is_due(LOOK))
        self.answers.answer(solicitation(destination=TARGET), OWN_LINK, LOOK)
        self.assertTrue(self.answers.is_due(LOOK))

    def test_what_takes_long_is_looked_at_rarely(self) -> None:
        """A table with very many flows."""
        self.live.clear()
        self.answers.keep([TARGET], now=0.0, took=1.0)
        self.ask()
        self.assertEqual([self.answers.is_due(each) for each in (SHARE - 1.0, float(SHARE))], [False, True])

    def test_prefix_that_is_gone_is_answered_for_no_more(self) -> None:
        """Whatever conntrack has there, also when the prefix comes back."""
        self.answers.keep([TARGET], now=1.0)
        self.answers.configure([])
        self.assertFalse(self.ask())
        self.live.clear()
        self.answers.configure([ON_LINK])
        self.assertFalse(self.ask())
