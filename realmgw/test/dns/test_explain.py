"""What the WAN's view would make of a question."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.reputation.challenges import Challenge, Proof, note
from realmgw.config import settings
from realmgw.dns.codec.names import BadNameError
from realmgw.dns.counts import Count
from realmgw.dns.explain import NameExplanation, Question, explain_name
from realmgw.dns.view import View
from realmgw.test.dns import realm
from realmgw.test.dns.allocator import MemoryAllocator

RESOLVER = "198.51.100.53"


class ExplainTests(SynchronousTestCase):
    """Asks what would be."""

    def setUp(self) -> None:
        """No challenges."""
        self.allocator = MemoryAllocator()
        self.wan = self.make()

    def make(self, audit: tuple[settings.Audit, ...] = (), **challenges: bool) -> View:
        """A WAN with these switches."""
        policy = settings.Policy(system_load=(), challenges=settings.Challenges(**challenges), audit=audit)
        zones = (*realm.ZONES, realm.ALIASES)
        return realm.wan(self.allocator, realm.make_settings(policy, zones=zones))

    def explain(self, name: str = "one.example.org", proof: Proof = Proof.NONE) -> NameExplanation:
        """What is said."""
        return explain_name(self.wan, Question(name, RESOLVER, proof=proof), 100.0)

    def test_tells_what_there_is_of_a_name(self) -> None:
        """The last step is what would be answered."""
        rows = {
            "www.example.net": "REFUSED",
            "nobody.example.org": "NXDOMAIN",
            "nodes.example.org": "no data",
            "example.org": "its records",
            "www.two.example.org": "service pool",
            "one.example.org": "the allocator is asked",
        }
        for name, said in rows.items():
            self.assertIn(said, self.explain(name).steps[-1])
        self.assertRaises(BadNameError, self.explain, "x" * 64)

    def test_what_is_not_ours_is_explained_elsewhere(self) -> None:
        """For who asks on a LAN, by the name in wire form; on the Internet it is refused; our own names are ours."""
        near, asked = self.wan.near, Question("WWW.example.net", "192.168.0.7")
        assert near is not None
        elsewhere = lambda name, kind, address: f"{name!r} {kind:d} {address}"  # noqa: E731 - shorter
        found = explain_name(near, asked, 100.0, elsewhere)
        self.assertEqual(found.steps[-1], "b'\\x03www\\x07example\\x03net\\x00' 1 192.168.0.7")
        self.assertEqual(explain_name(near, asked, 100.0).steps[-1], "refused: REFUSED")
        self.assertEqual(explain_name(self.wan, asked, 100.0, elsewhere).steps[-1], "refused: REFUSED")
        own = explain_name(near, Question("nobody.example.org", "192.168.0.7"), 100.0, elsewhere)
        self.assertIn("NXDOMAIN", own.steps[-1])

    def test_tells_the_challenge_and_why(self) -> None:
        """By the switches and by how it comes; of an alias, what comes after it."""
        for word, proof, challenge, goes_on in (
            ("tcp", Proof.NONE, Challenge.TC, False),
            ("tcp", Proof.COOKIE, None, True),
            ("cname", Proof.TCP, Challenge.CNAME, True),
            ("tcpcname", Proof.NONE, Challenge.TC, False),
        ):
            self.wan = self.make((), **{word: True})
            found = self.explain(proof=proof)
            self.assertEqual((found.challenge, found.service is not None), (challenge, goes_on))
            self.assertIn(f"challenges of its zone: {word}", found.steps)

    def test_tells_what_is_known_of_the_group(self) -> None:
        """In adaptive mode, where it decides."""
        self.wan = self.make(adaptive=True)
        self.assertIn("never passed", "\n".join(self.explain().steps))
        group = self.allocator.groups.proven(RESOLVER, now=88.0)
        note(group, Challenge.TC, now=88.0)
        found = self.explain()
        self.assertIn("its group has passed tc, last 12 s ago; its reputation is 0.45", found.steps)
        self.assertEqual((found.challenge, found.steps[-3]), (None, "no challenge is due"))
        self.assertIn("to come by TCP for that", found.steps[-1])
        self.assertNotIn("to come by TCP for that", self.explain(proof=Proof.TCP).steps[-1])

    def test_tells_that_it_is_only_counted(self) -> None:
        """In audit mode."""
        self.wan = self.make(audit=(settings.Audit.CHALLENGES,), tcp=True)
        found = self.explain()
        self.assertIn("a challenge is due, and only counted: tc", found.steps)
        self.assertIsNotNone(found.service)

    def test_changes_nothing(self) -> None:
        """No group is made, nothing is counted or asked for."""
        self.wan = self.make(adaptive=True, log_untrusted=True)
        self.explain()
        self.explain(proof=Proof.TCP)
        self.assertIsNone(self.allocator.groups.find(RESOLVER))
        self.assertEqual((sum(self.wan.counts.events), self.allocator.asked), (0, []))
        self.assertEqual(self.wan.counts.events[Count.UNTRUSTED], 0)
