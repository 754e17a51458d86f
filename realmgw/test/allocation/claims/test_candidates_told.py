"""Forged packets where conntrack tells who was answered, and where first packets are lost."""

from __future__ import annotations

from realmgw.allocation.flow import Flow
from realmgw.test.allocation.claims.test_candidates import Conntrack, RobberyTestCase
from realmgw.test.allocation.scene import CLIENT, NEIGHBOUR, OTHER, RESOLVER, STRAY, TCP, UDP, Scene, service

ONE, TWO = service(1), service(2)


class Told:
    """What is told of flows that are answered; it is told of those that came from 0.0 on."""

    def __init__(self) -> None:
        self.flows, self.mistrusted, self.looks = set[bytes](), list[Flow](), 0

    def has(self, flow: Flow, came: float) -> bool | None:
        """By its source."""
        self.looks += 1
        return flow[0] in self.flows if came >= 0.0 else None

    def tells(self, flow: Flow) -> bool:
        """Of what is by TCP."""
        return flow[2] == TCP

    def news(self, address: bytes) -> object:
        """Somebody else was answered, anywhere."""
        del address
        return len(self.flows)

    def mistrust(self, flow: Flow) -> None:
        """It was answered all the same."""
        self.mistrusted.append(flow)


class ClientTests(RobberyTestCase):
    """The client of a claim."""

    def test_is_known_without_a_question_where_answers_are_told(self) -> None:
        """Who waits is served when his handshake was told of; for strangers nobody is asked meanwhile."""
        scene, told = self.scene(1), Told()
        scene.allocator.ledger.candidates.answers = told
        address = scene.get(ONE, now=0.1)
        self.assertIsNone(scene.wait(TWO, OTHER, now=0.12))
        self.strangers(scene, address, 100, now=0.15)
        scene.come(address, CLIENT, now=0.2)
        scene.allocator.expire(now=0.23)
        self.assertEqual(scene.told, [])
        told.flows.add(CLIENT)
        scene.allocator.expire(now=0.26)
        self.assertEqual([outcome for _, outcome in scene.told], [address])
        self.assertEqual(self.conntrack.asked, [])

    def test_is_not_looked_for_while_nothing_is_told(self) -> None:
        """However many strangers come; soon when something is; and as ever where it is not told of his like."""
        for protocol, is_told in ((TCP, True), (UDP, False)):
            scene, told = self.scene(1), Told()
            candidates = scene.allocator.ledger.candidates
            candidates.answers = told
            address = scene.get(ONE, now=0.1)
            for number in range(1, 101):
                scene.come(address, number.to_bytes(4, "big"), protocol, now=0.15)
            scene.come(address, CLIENT, protocol, now=0.15)
            [reservation] = scene.allocator.pool.addresses[address].reservations.values()
            candidates.ask(reservation, 0.25)
            candidates.ask(reservation, 0.26)
            told.looks = 0
            for moment in range(1, 4):
                candidates.ask(reservation, 0.26 + 0.003 * moment)
            crowd = reservation.crowd
            assert crowd is not None
            self.assertEqual((crowd.is_told, told.looks), (is_told, 0))
            told.flows.add(CLIENT)
            for moment in range(4, 60):
                candidates.ask(reservation, 0.26 + 0.003 * moment)
            self.assertEqual(crowd.answered_at, 0.15)
            self.assertGreater(told.looks, 0)

    def test_is_asked_for_in_the_end_where_nothing_was_told(self) -> None:
        """What became of the claim is as if nobody told anything; and that is seen."""
        for answered, ok in ((True, 1), (False, 0)):
            scene, told = self.scene(), Told()
            scene.allocator.ledger.candidates.answers = told
            scene.come(scene.get(ONE, now=0.1), CLIENT, now=0.2)
            self.conntrack.said[CLIENT] = answered
            self.end(scene)
            self.assertEqual(scene.allocator.groups.of(RESOLVER).reputation.ok, ok)
            self.assertEqual(len(told.mistrusted), ok)

    def test_is_not_dead_while_he_may_have_to_come_again(self) -> None:
        """Packets were lost for want of room, his own maybe: it is sent again after a second."""
        for strangers in (0, 3):
            scene = self.scene(1)
            address = scene.get(ONE, now=0.1)
            self.strangers(scene, address, strangers, now=0.15)
            self.assertIsNone(scene.wait(TWO, OTHER, now=0.4, tcp=True))
            scene.allocator.behind(0.0, 0.2)
            scene.allocator.expire(now=1.19)
            self.assertEqual(scene.told, [])
            self.assertEqual(scene.come(address, CLIENT, now=1.2), ONE.host.index)
            scene.allocator.expire(now=1.5)
            self.assertEqual([outcome for _, outcome in scene.told], [address])

    def test_is_waited_for_when_somebody_comes_sooner_than_clients_do(self) -> None:
        """Also in peace: the first forged packets of many come before anybody is alarmed."""
        for after, is_doubted in ((0.01, True), (0.09, False)):
            conntrack = Conntrack()
            scene = Scene(1, answered=conntrack.answered)
            now = scene.learn(ONE, visits=60, now=0.0, after=0.1)
            address = scene.get(ONE, now=now)
            self.assertIsNone(scene.wait(TWO, OTHER, now=now))
            self.assertEqual(scene.come(address, STRAY, now=now + after), ONE.host.index)
            scene.allocator.expire(now=now + 0.095)
            self.assertEqual(bool(scene.told), not is_doubted)
            if is_doubted:
                self.assertEqual(scene.come(address, NEIGHBOUR, now=now + 0.1), ONE.host.index)
                conntrack.said[NEIGHBOUR] = True
                scene.allocator.expire(now=now + 0.12)
            self.assertEqual([outcome for _, outcome in scene.told], [address])

    def test_is_believed_however_soon_he_comes_where_nobody_can_be_asked(self) -> None:
        """Who waits does not wait for what nobody will ever know."""
        scene = Scene(1)
        now = scene.learn(ONE, visits=60, now=0.0, after=0.1)
        address = scene.get(ONE, now=now)
        self.assertIsNone(scene.wait(TWO, OTHER, now=now))
        scene.come(address, NEIGHBOUR, now=now + 0.01)
        scene.allocator.expire(now=now + 0.02)
        self.assertEqual([outcome for _, outcome in scene.told], [address])
