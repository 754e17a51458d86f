"""Flows that last: looked at now and then, by a kernel that says what it is told to."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from realmgw.datapath.netlink import accounted, codec
from realmgw.errors import RealmGatewayError
from realmgw.records import lasting as module
from realmgw.records.known import Known, Subscriber
from realmgw.records.lasting import Counted, Lasting
from realmgw.records.looking import AT_ONCE, SOON, Looking
from realmgw.records.record import Record
from realmgw.test.records.test_recorder import CLIENT, HOST, NOW, POOL, ended

HOUR = 3600.0


class Listing:
    """A socket that lists flows.

    Attributes:
        flows: By source port, when they began.
        problem: Why it can not be opened; None: it can.
        open: How many are open.
    """

    def __init__(self) -> None:
        self.flows: dict[int, float] = {}
        self.problem: RealmGatewayError | None = None
        self.open = 0
        self._answers: list[bytes] = []

    def __call__(self, *, timeout: float) -> Listing:
        """Opens it."""
        assert timeout > 0
        if self.problem is not None:
            raise self.problem
        self.open += 1
        return self

    def send(self, request: bytes) -> int:
        """It is asked for all."""
        [asked] = codec.messages(request)
        flows = [each for flow in self.flows.items() for each in codec.messages(ended(*flow))]
        parts = [codec.message(1 << 8, 2, asked.sequence, each.body) for each in flows]
        self._answers = [*parts, codec.message(codec.DONE, 2, asked.sequence, bytes(4))]
        return len(request)

    def recv(self, _size: int) -> bytes:
        """The next."""
        return self._answers.pop(0)

    def close(self) -> None:
        """Closed."""
        self.open -= 1


class LookingTests(SynchronousTestCase):
    """Every hour."""

    def setUp(self) -> None:
        """A recorder has looked for the first time, and there was nothing."""
        self.known, self.listing, self.now = Known(), Listing(), NOW
        self.known.put(HOST, Subscriber("one.example.org.", ()), 0.0)
        self.lasting = Lasting(self.known)
        self.looking = Looking(self.lasting, HOUR, self.listing)
        self.assertEqual(self.look(), [])

    def look(self) -> list[Counted]:
        """All that is told of when it is time to."""
        found = self.looking.step(self.now, self.now, drained=True)
        while self.listing.open:
            found += self.looking.step(self.now, self.now, drained=True)
        return [*found, *self.looking.step(self.now, self.now, drained=True)]

    def end(self, port: int, began: float = 1.0) -> Record | None:
        """A flow has ended; what was told of it."""
        return self.lasting.ended(accounted.parse(ended(port, began)))

    def told(self) -> list[tuple[str, int]]:
        """An hour later: events, and source ports."""
        self.now += HOUR
        return [(record.event, record.client_port) for record, _ in self.look()]

    def test_what_lasts_is_told_each_time(self) -> None:
        """With what was told before; who is young is not, and nobody's is not."""
        self.listing.flows = {1: self.now - 1.0, 2: self.now + HOUR - 1.0}
        self.assertEqual(self.told(), [("lasts", 1)])
        self.assertEqual(self.told(), [("lasts", 1), ("lasts", 2)])
        self.now += HOUR
        [(record, before), _] = self.look()
        assert before is not None
        self.assertEqual((record.octets_in, before.octets_in), (60, 60))
        self.assertEqual(self.look(), [])

    def test_what_an_earlier_recorder_has_counted_is_not_counted_again(self) -> None:
        """The first look tells nothing; the next has it as what was before."""
        looking = Looking(lasting := Lasting(self.known), HOUR, self.listing)
        self.listing.flows = {1: 1.0}
        self.looking = looking
        self.assertEqual((self.look(), len(lasting)), ([], 1))
        self.now += HOUR
        [(_, before)] = self.look()
        self.assertIsNotNone(before)

    def test_what_has_ended_unheard_is_found_out(self) -> None:
        """After ends were lost, and soon; what was heard meanwhile has ended as it should, and names go as well."""
        self.listing.flows = {1: 1.0, 2: 1.0, 3: 1.0}
        self.told()
        self.known.open([(0.0, 1, "one.example.org.", (CLIENT, POOL, 17, port, 53), 1) for port in (1, 3, 9)], 4)
        self.listing.flows = {3: 1.0}
        self.looking.lost(self.now)
        self.end(2)
        self.now += SOON
        found = [(record.event, record.client_port) for record, _ in self.look()]
        self.assertEqual(found, [("lasts", 3), ("gone", 1)])
        self.assertEqual([flow[3] for flow in self.known.opened], [3])
        self.assertEqual(len(self.lasting), 1)

    def test_nothing_is_doubted_while_nothing_is_lost(self) -> None:
        """Its end may come a moment later."""
        self.listing.flows = {1: 1.0}
        self.told()
        self.listing.flows = {}
        self.assertEqual(self.told(), [])
        self.assertIsNotNone(self.end(1))

    def test_ends_that_wait_are_taken_first(self) -> None:
        """Before it is said of anything that it is gone."""
        self.listing.flows = {1: 1.0}
        self.told()
        self.listing.flows = {}
        self.looking.lost(self.now)
        self.now += SOON
        found = [self.looking.step(self.now, self.now, drained=False) for _ in range(9)]
        self.assertEqual((found, self.listing.open), ([[]] * 9, 0))
        self.end(1)
        self.assertEqual(self.look(), [])

    def test_what_ends_while_it_is_looked_is_not_told_once_more(self) -> None:
        """The kernel had told of it as being there, in what was not taken apart yet; who has its port now is new."""
        last = AT_ONCE + 2
        self.listing.flows = dict.fromkeys(range(1, last + 1), 1.0)
        self.now += HOUR
        found = [each for _ in range(2) for each in self.looking.step(self.now, self.now, drained=True)]
        self.assertEqual((len(found), self.listing.open), (AT_ONCE, 1))
        self.end(last)
        self.end(last - 1, began=0.5)
        [(record, _)] = self.looking.step(self.now, self.now, drained=True)
        self.assertEqual((record.client_port, len(self.lasting)), (last - 1, last - 1))
        self.assertEqual(self.told(), [("lasts", port) for port in range(1, last + 1)])  # else it would never be told

    def test_what_ended_while_it_is_looked_is_bounded(self) -> None:
        """The latest are remembered: what the kernel has told of before is not much."""
        self.patch(module, "JUST_ENDED", 2)
        self.listing.flows = dict.fromkeys(range(1, 5), 1.0)
        self.now += HOUR
        self.looking.step(self.now, self.now, drained=True)
        for port in (1, 2, 3):
            self.end(port)
        self.assertEqual([record.client_port for record, _ in self.look()], [1, 4])
        self.end(4)
        self.assertIsNone(self.lasting._just_ended, "it is not looked")

    def test_a_port_that_is_used_again_is_another_flow(self) -> None:
        """The end of the one before was lost."""
        self.listing.flows = {1: 1.0}
        self.told()
        self.listing.flows = {1: 2.0}
        self.assertEqual(self.told(), [("gone", 1), ("lasts", 1)])

    def test_a_bounded_number_is_remembered_and_looked_at_at_once(self) -> None:
        """Others count when they end."""
        self.patch(module, "MOST", 5)
        self.listing.flows = dict.fromkeys(range(1, AT_ONCE + 9), 1.0)
        self.now += HOUR
        self.looking.step(self.now, self.now, drained=True)
        self.assertEqual((len(self.looking.step(self.now, self.now, drained=True)), self.listing.open), (5, 1))
        self.look()
        self.assertEqual((len(self.lasting), self.listing.open), (5, 0))

    def test_what_can_not_be_listed_is_told(self) -> None:
        """And tried again next time."""
        self.listing.problem = RealmGatewayError("netlink: Operation not permitted")
        self.assertEqual((self.told(), self.looking.unlisted), ([], 1))
        self.assertIn("not permitted", self.looking.problem)
        self.listing.problem, self.listing.flows = None, {1: 1.0}
        self.assertEqual((self.told(), self.looking.problem), ([("lasts", 1)], ""))

    def test_what_was_lost_is_found_out_when_it_can_be_listed_again(self) -> None:
        """Not only after another loss."""
        self.listing.flows = {1: 1.0}
        self.told()
        self.looking.lost(self.now)
        self.listing.problem, self.listing.flows = RealmGatewayError("netlink: busy"), {}
        self.assertEqual(self.told(), [])
        self.listing.problem = None
        self.assertEqual(self.told(), [("gone", 1)])

    def test_never_means_never(self) -> None:
        """Also after a loss."""
        looking = Looking(self.lasting, 0.0, self.listing)
        looking.lost(self.now)
        self.assertEqual((looking.step(self.now + 1e9, self.now, drained=True), self.listing.open), ([], 0))
