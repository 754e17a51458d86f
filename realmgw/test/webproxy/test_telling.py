"""Tests for `realmgw.webproxy.telling`: one HAProxy that is told of names, that begins late, refuses, and is silent."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.webproxy import Health
from realmgw.test.webproxy.peer import PATH, MemoryHaproxy, MemoryMachine, service
from realmgw.webproxy import runtime
from realmgw.webproxy.names import Names
from realmgw.webproxy.port import PATIENCE
from realmgw.webproxy.telling import AGAIN, Counts, Telling

MAP = "web.map"
HEALTH = Health()


class TellingTests(SynchronousTestCase):
    """Names in memory, and a HAProxy in memory."""

    def setUp(self) -> None:
        """Two names; HAProxy is there and has an old map."""
        self.names, self.counts, self.machine = Names(), Counts(), MemoryMachine()
        for name in ("a.example.org.", "b.example.org."):
            self.names.put(service(name))
        self.machine.haproxy = self.haproxy = MemoryHaproxy({"gone.example.org": "1", "a.example.org": "1"})
        self.heard: list[tuple[bool | None, str]] = []

    def begin(self) -> Telling:
        """It has just been started."""
        return Telling(self.names, HEALTH, MAP, PATH, self.machine, self.counts, lambda *told: self.heard.append(told))

    def put(self, telling: Telling, *names: str) -> None:
        """Services come, or are different."""
        for name in names:
            self.names.put(service(name, http_port=8080))
        telling.change(name[:-1] for name in names)

    def assert_in_step(self) -> None:
        """It has what it shall."""
        self.assertEqual(self.haproxy.entries, self.names.routes)

    def test_its_map_is_looked_at_and_not_believed(self) -> None:
        """What it has too much, too little, or otherwise, is told."""
        self.begin()
        self.machine.after(0.2)
        self.assert_in_step()
        self.assertEqual(self.heard, [(True, "")])
        self.assertEqual(self.haproxy.lines[0], "show map web.map")
        self.assertEqual((self.counts.looks, self.counts.changes), (1, 3))

    def test_it_may_take_a_while_to_answer(self) -> None:
        """That is told only when it is long."""
        self.machine.haproxy = None
        self.begin()
        self.machine.after(PATIENCE)
        self.assertEqual({why for _, why in self.heard}, {""})
        self.machine.after(1.0)
        self.assertEqual(self.heard[-1][0], None)
        self.assertIn("HAProxy does not answer", self.heard[-1][1])
        self.machine.haproxy = self.haproxy
        self.machine.after(0.5)
        self.assert_in_step()
        self.assertEqual(self.heard[-1], (True, ""))

    def test_changes_of_a_moment_are_told_together_and_each_once(self) -> None:
        """With what they are in the end."""
        telling = self.begin()
        self.machine.after(0.2)
        del self.haproxy.lines[:]
        self.put(telling, "c.example.org.", "d.example.org.")
        self.put(telling, "c.example.org.")
        self.names.drop("d.example.org.")
        telling.change(["d.example.org", "never.example.org"])
        self.machine.after(0.2)
        self.assertEqual(self.haproxy.lines, ["add map web.map c.example.org 192.0.2.1/8080/443/no/no/no"])
        self.assert_in_step()

    def test_many_changes_are_a_new_version_of_the_map(self) -> None:
        """What changes meanwhile is told afterwards."""
        telling = self.begin()
        self.machine.after(0.2)
        del self.haproxy.lines[:]
        self.put(telling, *(f"host{number}.example.org." for number in range(runtime.MANY)))
        self.machine.after(0.03)
        self.put(telling, "late.example.org.")
        self.names.drop("a.example.org.")
        telling.change(["a.example.org"])
        self.machine.after(1.0)
        self.assert_in_step()
        verbs = [line.split()[0] for line in self.haproxy.lines]
        self.assertEqual((verbs[0], verbs.count("commit"), self.counts.renewals), ("prepare", 1, 1))
        self.assertLess(len(verbs), 8)

    def test_after_a_refusal_its_map_is_read_anew(self) -> None:
        """It is out of step until then, and that is told."""
        telling = self.begin()
        self.machine.after(0.2)
        self.haproxy.entries.clear()  # somebody else has been there
        self.put(telling, "b.example.org.")
        self.machine.after(0.2)
        self.assertEqual(self.heard[-1][0], False)
        self.assertIn("entry not found", self.heard[-1][1])
        self.put(telling, "c.example.org.")
        self.machine.after(AGAIN + 0.2)
        self.assert_in_step()
        self.assertEqual((self.heard[-1], self.counts.failures), ((True, ""), 1))

    def test_one_that_refuses_everything_is_tried_again_and_again(self) -> None:
        """Not more often than once in a while."""
        self.haproxy.refusal = "Permission denied"
        self.begin()
        self.machine.after(10 * AGAIN)
        self.assertIn(self.counts.failures, range(8, 11))
        self.haproxy.refusal = ""
        self.machine.after(2 * AGAIN)
        self.assert_in_step()

    def test_one_that_says_nothing_is_given_up_and_tried_again(self) -> None:
        """After a while; nothing waits for ever."""
        telling = self.begin()
        self.machine.after(0.2)
        self.haproxy.is_silent = True
        self.put(telling, "c.example.org.")
        self.machine.after(PATIENCE + 0.2)
        self.assertEqual(self.heard[-1], (False, "HAProxy can not be told of names: HAProxy does not answer"))
        self.haproxy.is_silent = False
        self.machine.after(PATIENCE + AGAIN)
        self.assert_in_step()

    def test_nothing_is_said_to_one_that_has_ended(self) -> None:
        """Nor told of it."""
        telling = self.begin()
        self.machine.after(0.2)
        told, heard = len(self.haproxy.lines), len(self.heard)
        telling.end()
        self.put(telling, "c.example.org.")
        self.machine.after(PATIENCE)
        self.assertEqual((len(self.haproxy.lines), len(self.heard)), (told, heard))
        self.assertEqual(self.machine.getDelayedCalls(), [])
