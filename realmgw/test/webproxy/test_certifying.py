"""Tests for `realmgw.webproxy.certifying` and `shelf`: a folder that changes, copies of it, and a HAProxy in memory."""

from __future__ import annotations

import shutil
import time
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed

from realmgw.config.settings import Webproxy
from realmgw.config.steps import Blocking
from realmgw.config.webproxy import Health
from realmgw.errors import PlatformError
from realmgw.test.config.test_certificates import FolderTestCase
from realmgw.test.webproxy.peer import PATH, MemoryHaproxy, MemoryMachine
from realmgw.webproxy.certifying import AGAIN, Certificates
from realmgw.webproxy.configuration import Place
from realmgw.webproxy.names import Names
from realmgw.webproxy.telling import Counts, Telling

PLACE = Place("web", 1, 1)


class CertificatesTests(FolderTestCase):
    """One certificate at the beginning."""

    def setUp(self) -> None:
        """HAProxy runs, and has none."""
        super().setUp()
        self.state, self.trouble, self.at = self.folder.parent, "", time.time()
        self.write("a.pem", self.content())
        self.machine = MemoryMachine()
        self.machine.haproxy = self.haproxy = MemoryHaproxy()
        self.telling = Telling(Names(), Health(), "web.map", PATH, self.machine, Counts(), lambda *_: None)
        self.certificates = self.make()
        self.machine.after(0.1)

    def make(self) -> Certificates:
        """As a gateway that begins has them."""
        how = Webproxy(enabled=True, certificates=self.folder)
        return Certificates(how, self.state, PLACE, self.elsewhere, lambda: self.at)

    def elsewhere(self, blocking: Blocking) -> Deferred[Any]:
        """A disk that answers at once, or not at all."""
        return fail(PlatformError(self.trouble)) if self.trouble else succeed(blocking.call())

    def look(self) -> bool:
        """Look at the folder, and tell HAProxy."""
        is_other = self.successResultOf(self.certificates.look())
        told = self.certificates.tell(self.telling)
        self.machine.after(0.5)
        self.successResultOf(told)
        return is_other

    def in_use(self) -> set[str]:
        """The files that HAProxy has, which are those that it would have if it began now."""
        listed = (self.state / PLACE.list).read_text().splitlines()
        self.assertEqual({each.split()[0] for each in listed}, self.haproxy.listed)
        self.assertEqual(set(self.haproxy.pems), self.haproxy.listed)
        for each, pem in self.haproxy.pems.items():
            path = self.state / each
            self.assertEqual((path.read_text(), path.stat().st_mode & 0o777), (pem, 0o600))
        self.assertEqual(len(list((self.state / PLACE.certificates).iterdir())), len(listed))
        return {each.rpartition("/")[2].partition(".")[2] for each in self.haproxy.listed}

    def test_what_comes_changes_and_goes_is_told(self) -> None:
        """The new one before the former one is taken away."""
        self.assertTrue(self.look())
        self.assertEqual((self.in_use(), self.certificates.names), ({"a.pem"}, {"a.example.org"}))
        self.assertIn("a.example.org a.example.org.\n", (self.state / PLACE.list).read_text())
        self.write("a.pem", self.content())
        self.write("b.pem", self.content("*.b.example.org"))
        del self.haproxy.lines[:]
        self.assertTrue(self.look())
        verbs = [line.split(maxsplit=1)[0] for line in self.haproxy.lines]
        self.assertEqual(verbs, ["show", *2 * ["new", "set", "commit", "add"], "del", "del"])
        self.assertEqual(self.in_use(), {"a.pem", "b.pem"})
        (self.folder / "a.pem").unlink()
        self.look()
        self.assertEqual((self.in_use(), self.certificates.names), ({"b.pem"}, {"*.b.example.org"}))
        self.assertEqual(self.certificates.wrong, ())
        del self.haproxy.lines[:]
        self.assertFalse(self.look())
        self.assertEqual(self.haproxy.lines, ["show ssl crt-list web.list"])

    def test_what_can_not_be_used_changes_nothing(self) -> None:
        """Half a file, no folder, an empty one; that is told. A gateway that begins has what was used."""
        self.look()
        before = dict(self.haproxy.pems)
        for harm in (
            lambda: self.write("a.pem", self.content()[:-30]),
            lambda: self.write("a.pem", self.content(expired=True)),
            (self.folder / "a.pem").unlink,
            lambda: shutil.rmtree(self.folder),
        ):
            harm()
            for certificates in (self.certificates, self.make()):
                self.certificates = certificates
                self.look()
                self.assertEqual((self.in_use(), self.haproxy.pems), ({"a.pem"}, before))
        self.assertEqual(len(self.certificates.wrong), 1)
        self.assertIn("those from before are used", self.certificates.wrong[0])
        self.assertEqual(self.certificates.counts(), {"certificates": 1, "certificate_faults": 1})
        [shown] = self.certificates.shown()
        self.assertEqual((shown["file"], shown["names"]), ("a.pem", ("a.example.org",)))
        self.assertRegex(str(shown["ends"]), r"^20\d\d-\d\d-\d\d \d\d:\d\d UTC$")

    def test_one_that_is_damaged_among_the_copies_is_left_out(self) -> None:
        """The folder has the same."""
        self.look()
        [copy] = (self.state / PLACE.certificates).iterdir()
        copy.write_bytes(b"half")
        self.certificates = self.make()
        self.look()
        self.assertEqual(self.in_use(), {"a.pem"})

    def test_a_disk_that_does_not_answer_is_told(self) -> None:
        """What is used stays."""
        self.look()
        self.trouble = "it does not answer"
        self.look()
        self.assertEqual(self.certificates.wrong, ("certificates: they can not be looked at: it does not answer",))
        self.assertEqual(self.in_use(), {"a.pem"})
        self.trouble = ""
        self.look()
        self.assertEqual(self.certificates.wrong, ())

    def test_what_haproxy_refuses_is_a_fault_of_its_file(self) -> None:
        """Others come and go; the one before is used, also by the next start. It is asked again after a while."""
        self.write("b.pem", self.content("b.example.org"))
        self.look()
        former = self.haproxy.pems[next(each for each in self.haproxy.pems if each.endswith("a.pem"))]
        (self.folder / "b.pem").unlink()
        for file in ("a.pem", "c.pem", "d.pem"):
            self.write(file, self.content(f"{file[0]}.example.org"))
        self.haproxy.refused = ".a.pem"
        for _ in range(2):
            self.look()
            self.assertEqual(self.in_use(), {"a.pem", "c.pem", "d.pem"})
            self.assertIn(former, self.haproxy.pems.values())
            [said] = self.certificates.wrong
            self.assertRegex(
                said, "^certificates: a.pem: HAProxy refuses it: unable to load.*: the one before is used$"
            )
            self.assertEqual(self.certificates.counts(), {"certificates": 3, "certificate_faults": 1})
        self.assertEqual(sum("new ssl cert" in each and each.endswith(".a.pem") for each in self.haproxy.lines), 2)
        self.at, self.haproxy.refused = self.at + AGAIN, "nothing"
        self.look()
        self.assertEqual((self.in_use(), self.certificates.wrong), ({"a.pem", "c.pem", "d.pem"}, ()))
        self.assertNotIn(former, self.haproxy.pems.values())

    def test_a_new_one_that_is_refused_is_used_nowhere(self) -> None:
        """Until there is another content."""
        self.haproxy.refused = ".a.pem"
        self.look()
        self.assertEqual((self.in_use(), self.certificates.names), (set(), frozenset()))
        self.assertIn("a.pem: HAProxy refuses it", self.certificates.wrong[0])
        self.haproxy.refused = "nothing"
        self.write("a.pem", self.content())
        self.look()
        self.assertEqual((self.in_use(), self.certificates.wrong), ({"a.pem"}, ()))

    def test_what_breaks_the_conversation_keeps_no_other_from_being_told(self) -> None:
        """Its file is named; the one before stays, and it is tried again."""
        self.write("b.pem", self.content("b.example.org"))
        self.look()
        before = set(self.haproxy.listed)
        (self.folder / "b.pem").unlink()
        self.write("a.pem", self.content())
        self.write("c.pem", self.content("c.example.org"))
        self.haproxy.broken = ".a.pem"
        self.look()
        self.assertEqual(sorted(each.partition(".")[2][-5:] for each in self.haproxy.listed), ["a.pem", "c.pem"])
        self.assertEqual(len(before & self.haproxy.listed), 1)
        [said] = self.certificates.wrong
        self.assertIn("certificates: a.pem: ", said)
        self.assertEqual(self.certificates.counts()["certificate_faults"], 1)
        self.haproxy.broken = "nothing"
        self.look()
        self.assertEqual((self.in_use(), self.certificates.wrong), ({"a.pem", "c.pem"}, ()))

    def test_whoever_answers_nothing_is_not_asked_for_each(self) -> None:
        """It is told once, and no file is at fault."""
        for letter in "bcdefgh":
            self.write(f"{letter}.pem", self.content(f"{letter}.example.org"))
        self.successResultOf(self.certificates.look())
        del self.haproxy.lines[:]
        told = self.certificates.tell(self.telling)
        self.machine.after(0.01)
        self.machine.haproxy = None
        self.machine.after(0.5)
        self.successResultOf(told)
        self.assertEqual((len(self.certificates.wrong), self.haproxy.lines), (1, ["show ssl crt-list web.list"]))
        self.assertEqual(self.certificates.counts()["certificate_faults"], 0)

    def test_what_haproxy_would_not_begin_with_is_left_out(self) -> None:
        """What it has taken last, also in an earlier run, is used in its place, unless it refuses that, too."""
        self.look()
        former = dict(self.certificates.used)
        self.write("a.pem", self.content())
        self.write("b.pem", self.content("b.example.org"))
        self.certificates = self.make()
        for wanted in ({**former}, {}):
            self.successResultOf(self.certificates.look())
            used = self.certificates.used
            said = f"[ALERT] : unable to load '{PLACE.certificates}/{used['a.pem'].key}'."
            self.assertTrue(self.certificates.refused(used, said, "unable"))
            self.assertFalse(self.certificates.refused(used, said, "unable"), "it is known")
            self.successResultOf(self.certificates.look())
            self.assertEqual(self.certificates.used.get("a.pem"), wanted.get("a.pem"))
            self.assertIn("b.pem", self.certificates.used)
            self.assertIn("a.pem: HAProxy refuses it: unable", self.certificates.wrong[0])
        self.assertFalse(self.certificates.refused(self.certificates.used, "[ALERT] bad line", "bad line"))

    def test_without_a_folder_there_are_none(self) -> None:
        """And nothing is asked."""
        self.certificates = Certificates(Webproxy(), self.state, PLACE, self.elsewhere)
        del self.haproxy.lines[:]
        self.assertFalse(self.look())
        self.assertEqual((self.haproxy.lines, self.certificates.names), ([], frozenset()))
        self.assertFalse((self.state / PLACE.list).exists())
