"""Steps become packets, and their rules are found."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from realmgw.datapath.netlink.traces import Kind, Step
from realmgw.datapath.tracing import packets
from realmgw.datapath.tracing.match import trace_table
from realmgw.datapath.tracing.packets import MOST_STEPS, QUIET, WAITING, Met, Packet, Packets
from realmgw.test.datapath.tracing.steps import OURS, begin, headers, step


class PacketsTests(SynchronousTestCase):
    """`Packets`."""

    def setUp(self) -> None:
        """Two packets are wanted."""
        self.packets = Packets(trace_table(OURS), 2)

    def take(self, *steps: Step, now: float = 0.0) -> None:
        """They are told."""
        for each in steps:
            self.packets.take(each, now)

    def test_ends_when_it_is_dropped_or_nothing_is_told_for_a_while(self) -> None:
        """Each once, with its own steps."""
        self.take(begin(1), step("a", 1, packet=1), begin(2), step("a", 2, "drop", packet=2))
        self.assertEqual([each.number for each in self.packets.ended(0.0)], [2])
        self.take(step("b", 3, packet=1), now=QUIET / 2)
        self.assertEqual(self.packets.ended(QUIET), [])
        [first] = self.packets.ended(2 * QUIET)
        self.assertEqual([each.chain[2] for each in first.steps], ["a", "b"])
        self.assertTrue(self.packets.is_over)

    def test_one_that_waits_at_a_queue_has_not_come_to_its_end(self) -> None:
        """User space may be busy."""
        self.take(begin(), step("a", 1, "queue"))
        self.assertEqual(self.packets.ended(2 * QUIET), [])
        self.take(step("b", 1, "drop"), now=WAITING - 1)
        [packet] = self.packets.ended(WAITING - 1)
        self.assertEqual(len(packet.steps), 2)
        self.take(begin(), step("a", 1, "queue"))
        self.assertEqual(len(self.packets.ended(WAITING)), 1)

    def test_a_number_that_comes_again_is_another_packet(self) -> None:
        """The kernel has few of them."""
        self.take(begin(), step("a", 1), begin(), step("b", 1))
        found = self.packets.ended(9.0)
        self.assertEqual([[each.chain[2] for each in one.steps] for one in found], [["a"], ["b"]])

    def test_what_is_one_too_many_says_nothing(self) -> None:
        """Nor does one whose begin was not heard."""
        self.take(*(each for number in (1, 2, 3) for each in (begin(number), step("a", 1, packet=number))))
        self.take(step("a", 1, packet=9))
        self.assertEqual([each.number for each in self.packets.ended(9.0)], [1, 2])
        self.assertEqual(self.packets.begun, 2)

    def test_keeps_so_many_steps_only(self) -> None:
        """A loop of jumps is no reason to fill the memory."""
        self.take(begin(), *[step("a", 1)] * (MOST_STEPS + 3))
        [packet] = self.packets.ended(9.0)
        self.assertEqual((len(packet.steps), packet.left_out), (MOST_STEPS, 3))


class MetTests(SynchronousTestCase):
    """`met`."""

    def met(self, *steps: Step) -> list[Met]:
        """What a packet has met, where two chains have two rules each."""
        rules = {4: "", 9: "f.yaml:3"}
        listed = {(1, OURS, "a"): rules, (1, OURS, "short"): rules, (1, "other", "a"): {5: "mine"}}
        texts = {"a": ["one", 'two drop comment "f.yaml:3"'], "short": ["one"]}
        return list(packets.met(Packet(1, list(steps)), listed, OURS, texts))

    def test_rules_are_told_as_they_are_written(self) -> None:
        """By their place in the chain; what they say of themselves stands beside them."""
        [one, two] = self.met(step("a", 4), step("a", 9, "drop"))
        self.assertEqual((one.table, one.chain, one.rule, one.comment), ("inet realmgw", "a", "one", ""))
        self.assertEqual((two.rule, two.comment, two.verdict), ("two drop", "f.yaml:3", "drop"))

    def test_rules_that_we_have_not_written_are_told_by_number(self) -> None:
        """Those of others, and where ours are not what they were."""
        found = self.met(step("a", 5, table="other"), step("short", 9), step("gone", 3))
        self.assertEqual(
            [(each.rule, each.comment) for each in found], [("rule 5", "mine"), ("rule 9", "f.yaml:3"), ("rule 3", "")]
        )

    def test_the_ends_of_chains_say_nothing_but_by_their_policy(self) -> None:
        """What the packet is now is told with the next step."""
        first, later = headers(), headers("192.0.2.9")
        found = self.met(
            step("a", 4, "goto", to="b", headers=first),
            step("b", 0, headers=later),
            step("b", 0, "accept", kind=Kind.POLICY),
            step("a", 4, headers=later),
        )
        self.assertEqual([each.verdict for each in found], ["goto b", "accept", "continue"])
        self.assertEqual([each.headers for each in found], [None, later, None])
