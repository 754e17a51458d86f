"""Tests for `realmgw.datapath.filling`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from realmgw.datapath.batches import Elements, InSteps, number
from realmgw.datapath.filling import Filling, FullError
from realmgw.errors import PlatformError, RealmGatewayError
from realmgw.test.datapath.answers import AnsweringChannel, refusal

SOME = (Elements("add", "strays", ((number(1), None),)),)


class RoomyChannel(AnsweringChannel):
    """One whose send buffer is told.

    Attributes:
        room: So many octets, each time that it was told.
    """

    def __init__(self, *reads: bytes | OSError) -> None:
        """Gives these."""
        super().__init__(*reads)
        self.room: list[int] = []

    def setsockopt(self, level: int, option: int, value: int) -> None:
        """The only option that is set."""
        del level, option
        self.room.append(value)

    def getsockname(self) -> tuple[int, int]:
        """The kernel's name for it."""
        return 4711, 0


class FillingTests(SynchronousTestCase):
    """`Filling`."""

    def filling(self, *answers: bytes | OSError) -> Filling:
        """One at a kernel that answers so."""
        self.channels = [RoomyChannel(*answers), RoomyChannel()]
        opening = iter(self.channels)
        return Filling("t", lambda: next(opening))  # type: ignore[arg-type,return-value]  # not a whole socket

    def test_each_is_one_transaction_by_one_socket(self) -> None:
        """There is room for the longest; nothing is nothing."""
        filling = self.filling(refusal(1, 0), refusal(2, 0), refusal(3, 0))
        filling.run(SOME)
        filling.run(())
        filling.run(SOME * 9)
        filling.run(SOME)
        [channel, other] = self.channels
        self.assertEqual((len(channel.sent), other.sent, filling.port), (3, [], 4711))
        self.assertEqual(len(channel.room), 2)
        self.assertGreater(channel.room[1], len(channel.sent[1]))

    def test_slices_are_a_transaction_each_until_one_is_refused(self) -> None:
        """Those behind it are not tried."""
        steps = InSteps("", SOME, "", (SOME, SOME, SOME))
        filling, ran = self.filling(*(refusal(at, 0) for at in range(1, 5))), list[str]()
        filling.lead(steps, ran.append)
        self.assertEqual((len(self.channels[0].sent), ran), (4, []))
        filling = self.filling(refusal(1, 0), refusal(2, 0), refusal(3, 2))
        self.assertRaises(RealmGatewayError, filling.lead, steps, ran.append)
        self.assertEqual(len(self.channels[0].sent), 3)

    def test_what_is_refused_is_told_and_the_next_answer_is_to_the_next_order(self) -> None:
        """Several refusals of one order are one."""
        filling = self.filling(
            refusal(1, 2) + refusal(1, 2), refusal(1, 17), refusal(2, 23), refusal(3, 1), refusal(4, 0)
        )
        with self.assertRaisesRegex(RealmGatewayError, "elements of strays"):
            filling.run(SOME)
        self.assertRaises(FullError, filling.run, SOME)
        self.assertRaises(PlatformError, filling.run, SOME)
        filling.run(SOME)
        self.assertRaises(RealmGatewayError, filling.run, SOME)  # it does not answer

    def test_a_socket_that_was_given_back_is_followed_by_another(self) -> None:
        """The port is another one then."""
        filling = self.filling(refusal(1, 0))
        filling.run(SOME)
        filling.close()
        filling.close()
        self.assertTrue(self.channels[0].is_closed)
        self.assertEqual(filling.port, 4711)
        self.assertFalse(self.channels[1].is_closed)
