"""Tests for `realmgw.allocation.decisionlog`: what the allocation writes down."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.claims import changes
from realmgw.allocation.decisionlog import Admitted, Answered, DecisionLog, End, Way
from realmgw.allocation.explain import explain_admit, explain_ask
from realmgw.allocation.reputation.requestors import ClientPrefix
from realmgw.config.settings import Allocation
from realmgw.errors import Reason
from realmgw.test.allocation.ipv6.scene import Scene6
from realmgw.test.allocation.ipv6.scene import host as host6
from realmgw.test.allocation.ipv6.scene import service as service6
from realmgw.test.allocation.scene import CLIENT, NEIGHBOUR, OTHER, RESOLVER, TCP, Scene, service

ONE, TWO = service(1), service(2)


def written(scene: Scene | Scene6) -> tuple[list[Answered], list[Admitted]]:
    """What was written down of answers and of packets."""
    answered, admitted, *_ = scene.allocator.ledger.decisions.logs()
    return list(map(Answered._make, answered)), list(map(Admitted._make, admitted))


class WritingTests(SynchronousTestCase):
    """The allocation writes."""

    def test_an_answer_and_the_packet_that_comes_for_it_have_one_id(self) -> None:
        """Each answer has another one; who asked, and for which name, stands with it."""
        scene = Scene(2)
        first, second = scene.get(ONE, now=1.0), scene.get(TWO, OTHER, now=2.0)
        scene.come(second, now=2.5)
        scene.come(first, now=2.6)
        answers, packets = written(scene)
        self.assertEqual(
            answers,
            [(1.0, 1, ONE.name, RESOLVER, None, first), (2.0, 2, TWO.name, OTHER, None, second)],
        )
        self.assertEqual(
            [(each.at, each.number, each.name) for each in packets], [(2.5, 2, TWO.name), (2.6, 1, ONE.name)]
        )
        self.assertEqual({each.way for each in packets}, {Way.CLAIM})
        self.assertEqual([each.flow[:3] for each in packets], [(CLIENT, second, TCP), (CLIENT, first, TCP)])

    def test_a_claim_that_nobody_uses_has_an_end(self) -> None:
        """Under the id of its answer, whatever ended it; one that is used has the packet."""
        scene = Scene(4)
        scene.come(scene.get(TWO, now=0.0), now=0.1)
        scene.get(ONE, now=1.0)
        scene.allocator.expire(now=100.0)
        scene.get(ONE, now=101.0)
        changes.forget(scene.allocator.ledger, [ONE.target], now=102.0)
        *_, ended, _, _ = scene.allocator.ledger.decisions.logs()
        self.assertEqual([(number, name, how) for _, number, name, how in ended], [
            (2, ONE.name, End.LAPSED), (3, ONE.name, End.VOIDED)])  # fmt: skip
        self.assertEqual(ended[1][0], 102.0)

    def test_a_question_that_is_repeated_is_one_answer(self) -> None:
        """It has one claim."""
        scene = Scene(1)
        for _ in range(3):
            scene.get(ONE, question="the same", now=1.0)
        self.assertEqual(len(written(scene)[0]), 1)

    def test_who_was_named_stands_there(self) -> None:
        """As he is known by."""
        scene = Scene(1)
        network = ClientPrefix.of(NEIGHBOUR, 24)
        scene.ask(ONE, now=1.0, network=network)
        self.assertEqual(written(scene)[0][0].client, network)

    def test_who_waited_has_an_id_too(self) -> None:
        """From when he was answered."""
        scene = Scene(1)
        address = scene.get(ONE, now=0.0)
        self.assertIsNone(scene.wait(TWO, tcp=True, now=0.1))
        scene.come(address, now=0.2)
        scene.allocator.expire(now=1.3)
        self.assertEqual([each.name for each in written(scene)[0]], [ONE.name, TWO.name])

    def test_further_packets_stand_there_with_their_right(self) -> None:
        """A further client has the id of the claim that lets him in, who comes again none."""
        scene = Scene(1)
        address = scene.get(ONE, now=0.0)
        scene.come(address, now=0.1)
        scene.come(address, NEIGHBOUR, now=0.2)
        scene.come(address, now=0.3)
        scene.come(address, sport=9, now=0.4)
        scene.come(address, sport=9, now=0.5)
        packets = written(scene)[1]
        self.assertEqual(
            [(each.number, each.way) for each in packets],
            [(1, Way.CLAIM), (1, Way.SPARE), (0, Way.RETURN), (0, Way.RETURN)],
        )

    def test_of_ipv6_likewise(self) -> None:
        """Its ids are of the same row."""
        scene = Scene6()
        one = service6(host6(1, ipv4=False))
        told = scene.get(one)
        scene.come(told)
        answers, packets = written(scene)
        self.assertEqual([(each.number, each.name, each.told) for each in answers], [(1, one.name, told)])
        self.assertEqual([(each.number, each.way, each.flow[1]) for each in packets], [(1, Way.CLAIM, told)])

    def test_nothing_is_written_of_what_is_only_tried(self) -> None:
        """By `explain`."""
        scene = Scene(1)
        scene.get(ONE, now=0.0)
        before = written(scene)
        explain_ask(scene.allocator, TWO, RESOLVER, now=0.1)
        explain_admit(scene.allocator, (CLIENT, b"\xc0\x00\x02\x01", TCP, 1, 80), now=0.1)
        self.assertEqual(written(scene), before)


class DecisionLogTests(SynchronousTestCase):
    """The log."""

    def log(self, decisions: int) -> DecisionLog:
        """Of so many."""
        return DecisionLog(Allocation(decisions=decisions))

    def fill(self, log: DecisionLog, first: int, beyond: int) -> None:
        """Decisions of each kind, one a second."""
        flow: Any = (CLIENT, NEIGHBOUR, TCP, 1, 80)
        for number in range(first, beyond):
            log.refuse(float(number), flow, Reason.NO_CLAIM)
            log.refuse_answer(float(number), "a.", RESOLVER, None, Reason.POLICY)
            log.admit(float(number), number, "a.", flow, Way.CLAIM)
            log.end(float(number), 7, "a.", End.LAPSED)
            log.forbid(float(number), flow, "a rule")
            log.withhold(float(number), b"\1a\0", "192.168.0.7", "ads")

    def times(self, log: DecisionLog, since: float | None = None) -> list[list[float]]:
        """When each was, of each kind."""
        return [[each[0] for each in kind] for kind in log.logs(since)]

    def test_keeps_the_last_ones(self) -> None:
        """Of each kind by itself."""
        log = self.log(3)
        self.fill(log, 0, 5)
        self.fill(log, 5, 5)
        self.assertEqual(self.times(log), [[], *[[2.0, 3.0, 4.0]] * 6])
        log.refuse(9.0, (CLIENT, NEIGHBOUR, TCP, 1, 80), Reason.LATE)
        self.assertEqual(self.times(log)[1:4], [[2.0, 3.0, 4.0], [2.0, 3.0, 4.0], [3.0, 4.0, 9.0]])

    def test_tells_what_is_new(self) -> None:
        """Since a time, with what was then."""
        log = self.log(10)
        self.fill(log, 0, 5)
        self.assertEqual(self.times(log, 3.0)[1:], [[3.0, 4.0]] * 6)

    def test_of_much_that_is_new_the_latest_is_told(self) -> None:
        """And how much there was, unless that was more than is kept."""
        log = self.log(10)
        self.fill(log, 0, 5)
        for since, most, times, total in (
            (2.0, 2, [3.0, 4.0], 18), (2.0, 9, [2.0, 3.0, 4.0], 18), (2.0, 0, [], 18), (5.0, 9, [], 0),
        ):  # fmt: skip
            logs, count = log.news(since, most)
            self.assertEqual(([[each[0] for each in kind] for kind in logs[1:]], count), ([times] * 6, total))
        self.fill(log, 5, 20)
        self.assertEqual([log.news(since, 1)[1] for since in (9.0, 11.0)], [None, 54])
        logs, count = self.log(0).news(0.0, 9)
        self.assertEqual(([list(each) for each in logs], count), ([[]] * 7, 0))

    def test_another_size_keeps_the_latest(self) -> None:
        """And none, nothing; ids go on."""
        scene = Scene(1, decisions=4)
        decisions = scene.allocator.ledger.decisions
        self.fill(decisions, 0, 4)
        for most, kept in ((2, [2.0, 3.0]), (0, []), (3, [])):
            scene.allocator.configure(Allocation(decisions=most))
            self.assertEqual(self.times(decisions)[1:], [kept] * 6)
        scene.allocator.configure(Allocation(decisions=0))
        scene.come(scene.get(ONE, now=0.0), now=0.1)
        self.fill(decisions, 0, 4)
        self.assertEqual((self.times(decisions), decisions.number), ([[]] * 7, 1))
        self.assertIs(scene.allocator.fresh.pinholes.ledger.decisions, decisions)
