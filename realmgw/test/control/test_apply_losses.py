"""Hosts that go: what is not believed, and what waits until it was read twice."""

from __future__ import annotations

import shutil
from pathlib import Path

import attrs
from twisted.trial.unittest import SynchronousTestCase

from realmgw import config
from realmgw.config.references import Written, loading_all
from realmgw.config.steps import Blocking, Steps, finish
from realmgw.control.apply import PATIENCE, Outcome, Status
from realmgw.control.health import State
from realmgw.control.running import Running
from realmgw.subscribers.files.disk import Good, LastGood
from realmgw.subscribers.files.folders import QUIET, Folders
from realmgw.subscribers.losses import HINT
from realmgw.test.control.parts import TestGateway, only

BOTH = ["a", "b"]


class LossTestCase(SynchronousTestCase):
    """A gateway with two hosts in a file, and more in others."""

    def setUp(self) -> None:
        """Makes it."""
        self.gateway = TestGateway(Path(self.mktemp()))
        self.folder = self.gateway.folder / "subscribers.d"

    def names(self) -> list[str]:
        """Labels of the hosts in force."""
        return [name.partition(".")[0] for name in self.gateway.names]

    def many(self, name: str, first: int, count: int) -> list[str]:
        """Writes a file of many hosts; their labels."""
        hosts = {f"h{number}": f"192.168.1.{number}" for number in range(first, first + count)}
        self.gateway.write(name, **hosts)
        return sorted(hosts)

    def assert_kept(self, outcome: Outcome, *labels: str) -> None:
        """All hosts are in force, and it is told why and what to do, until somebody says that it is meant."""
        self.assertEqual(self.names(), sorted(labels))
        self.assertTrue(any(HINT in problem for problem in outcome.problems), outcome.problems)
        self.assertTrue(any(HINT in each.text for each in self.gateway.health.troubles))
        self.assertIs(self.gateway.health.state, State.LAST_GOOD)
        self.assertEqual(outcome.flows_ended, 0)


class DoubtTests(LossTestCase):
    """A source that suddenly has nothing keeps its hosts."""

    def test_a_file_that_was_emptied(self) -> None:
        """By a copy on a full disk, for example; a comment is nothing, too."""
        for text in ("", "# nothing\n", "---\n...\n", "{}\n", "~\n"):
            (self.folder / "a.yaml").write_text(text)
            self.assert_kept(only(self.gateway.reload()), *BOTH)
            self.assert_kept(only(self.gateway.reload()), *BOTH)
        outcome = only(self.gateway.reload(accepts_loss=True))
        self.assertEqual((outcome.status, outcome.problems, self.names()), (Status.APPLIED, (), []))
        self.assertEqual((outcome.flows_ended, self.gateway.health.state), (2, State.HEALTHY))

    def test_a_file_that_was_cut(self) -> None:
        """More than half of its hosts are missing."""
        labels = self.many("m.yaml", 1, 60)
        self.gateway.reload()
        text = (self.folder / "m.yaml").read_text()
        (self.folder / "m.yaml").write_text("".join(text.splitlines(keepends=True)[:20]))
        self.assert_kept(only(self.gateway.reload()), *BOTH, *labels)
        (self.folder / "m.yaml").write_text(text)
        self.assertEqual((only(self.gateway.reload()).problems, self.gateway.health.troubles), ((), ()))

    def test_a_folder_that_is_gone_or_can_not_be_read(self) -> None:
        """Its files say what they said; that is told until it is there again."""
        away = self.folder.rename(self.gateway.folder / "away")
        outcome = only(self.gateway.reload())
        self.assertIn("can not be read", outcome.problems[0])
        self.assertEqual((self.names(), self.gateway.health.state), (BOTH, State.LAST_GOOD))
        away.rename(self.folder)
        self.assertEqual((only(self.gateway.reload()).problems, self.gateway.health.troubles), ((), ()))

    def test_a_folder_that_is_suddenly_empty(self) -> None:
        """As the place is where a file system was that is not mounted any more."""
        self.gateway.write("c.yaml", c="192.168.0.3")
        self.gateway.reload()
        shutil.rmtree(self.folder)
        self.folder.mkdir()
        self.assert_kept(only(self.gateway.reload()), *BOTH, "c")
        self.gateway.reload(accepts_loss=True)
        self.assertEqual(self.names(), [])

    def test_a_file_of_many_hosts_that_is_gone(self) -> None:
        """More than the share of all hosts that may go at once; the key says how large that is."""
        labels = self.many("m.yaml", 1, 30)
        self.gateway.reload()
        (self.folder / "m.yaml").unlink()
        self.assert_kept(only(self.gateway.reload()), *BOTH, *labels)
        text = self.gateway.path.read_text()
        self.gateway.path.write_text(text + "reload: {max_loss: 1}\n")
        self.assertEqual((only(self.gateway.reload()).problems, self.names()), ((), BOTH))

    def test_a_plan_tells_the_same(self) -> None:
        """Nothing would be removed, and why."""
        (self.folder / "a.yaml").write_text("")
        planned = self.gateway.reloader.plan()
        self.gateway.pass_time()
        plan = self.successResultOf(planned)
        self.assertEqual((plan.hosts_removed, len(plan.problems)), ((), 1))

    def test_what_an_operator_does_is_believed(self) -> None:
        """He removes a file of many, or some hosts of a file, or moves them from one to another."""
        self.gateway.write("c.yaml", c="192.168.0.3")
        self.gateway.reload()
        (self.folder / "c.yaml").unlink()
        self.assertEqual((only(self.gateway.reload()).problems, self.names()), ((), BOTH))
        self.gateway.write("a.yaml", a="192.168.0.1")
        self.assertEqual((only(self.gateway.reload()).problems, self.names()), ((), ["a"]))
        self.gateway.write("z.yaml", a="192.168.0.1")
        (self.folder / "a.yaml").write_text("# they are in z.yaml\n")
        self.assertEqual((only(self.gateway.reload()).problems, self.names()), ((), ["a"]))


class WaitingTests(LossTestCase):
    """What takes hosts away waits until it was read twice."""

    def test_a_reload_between_truncation_and_writing_removes_nobody(self) -> None:
        """However little there is at that moment; no flow ends."""
        text = (self.folder / "a.yaml").read_text()
        for part in ("", text[: len(text) // 2], "# not yet\n", text.splitlines(keepends=True)[0]):
            (self.folder / "a.yaml").write_text(part)
            found = self.gateway.reload(seconds=0)
            self.gateway.pass_time(0.05)
            (self.folder / "a.yaml").write_text(text)
            self.gateway.pass_time(QUIET)
            outcome = only(found)
            self.assertEqual((outcome.problems, outcome.flows_ended, self.names()), ((), 0, BOTH))

    def test_a_file_between_its_removal_and_its_return_removes_nobody(self) -> None:
        """So editors write."""
        text = (self.folder / "a.yaml").read_text()
        (self.folder / "a.yaml").unlink()
        found = self.gateway.reload(seconds=0)
        (self.folder / "a.yaml").write_text(text)
        self.gateway.pass_time(QUIET)
        self.assertEqual((only(found).flows_ended, self.names()), (0, BOTH))

    def test_what_only_adds_goes_at_once(self) -> None:
        """Also beside a file that has to wait; the answer says for how long it did."""
        self.gateway.write("a.yaml", a="192.168.0.1")
        self.gateway.write("c.yaml", c="192.168.0.3")
        found = self.gateway.reload(seconds=0)
        self.assertEqual((found, self.names()), ([], [*BOTH, "c"]))
        self.gateway.pass_time(QUIET)
        outcome = only(found)
        self.assertEqual((outcome.waited, self.names()), (QUIET, ["a", "c"]))
        self.assertEqual(
            (outcome.plan.hosts_added, outcome.plan.hosts_removed), (("c.example.org.",), ("b.example.org.",))
        )

    def test_another_address_and_a_service_that_is_no_more_wait_too(self) -> None:
        """Both end what clients have."""
        for text in (
            "a.example.org: {address: 192.168.0.7}\n",
            "a.example.org: {address: 192.168.0.7, services: {x.example.org: }}\n",
        ):
            self.gateway.write("a.yaml", b="192.168.0.2")
            (self.folder / "a.yaml").write_text((self.folder / "a.yaml").read_text() + text)
            self.assertEqual(self.gateway.reload(seconds=0), [])
            self.gateway.pass_time(QUIET)
            self.assertEqual(self.gateway.reloader.last.waited, QUIET)  # type: ignore[union-attr]  # there is one

    def test_a_reading_that_takes_long_is_not_taken_for_writing(self) -> None:
        """A hundred thousand hosts on a machine that is busy: all is read once more in any case."""
        reloader = self.gateway.reloader

        def slowly(path: Path) -> Steps[Written]:
            yield Blocking(str(path), lambda: self.gateway.clock.advance(2 * PATIENCE))
            return (yield from loading_all(path))

        reloader._parts = attrs.evolve(reloader._parts, read=slowly)
        self.gateway.write("a.yaml", a="192.168.0.1")
        self.assertEqual((only(self.gateway.reload()).problems, self.names()), ((), ["a"]))

    def test_a_file_that_is_never_at_rest_takes_nobody_away(self) -> None:
        """The answer comes all the same, and says so; the next reload tries again."""
        found = self.gateway.reload(seconds=0)
        self.gateway.write("a.yaml", a="192.168.0.1")
        found = self.gateway.reload(seconds=0)
        for number in range(int(PATIENCE / QUIET) + 2):
            (self.folder / "a.yaml").write_text(f"# {number}\n" + "a.example.org: {address: 192.168.0.1}\n")
            self.gateway.pass_time(QUIET)
        self.assertIn("it is being written", only(found).problems[0])
        self.assertEqual((self.names(), len(self.gateway.health.troubles)), (BOTH, 1))
        self.assertEqual((only(self.gateway.reload()).problems, self.names()), ((), ["a"]))

    def test_who_asks_while_it_waits_is_told_with_it(self) -> None:
        """All is read once more anyway."""
        self.gateway.write("a.yaml", a="192.168.0.1")
        found = self.gateway.reload(seconds=0)
        again = self.gateway.reload(seconds=0)
        self.gateway.pass_time(QUIET)
        self.assertIs(only(found), only(again))
        self.assertEqual(self.gateway.reloader.count, 1)


class BadSourceTests(LossTestCase):
    """A source that can not be used says what it said before, and that is no good health."""

    def test_it_is_told_once_until_it_is_mended(self) -> None:
        """Bad YAML, an address that is somebody else's, a file that is none: all the same, however often it is read."""
        good, bad, events = (self.folder / "a.yaml").read_text(), self.folder / "a.yaml", self.gateway.events
        collision = "a.example.org: {address: 192.168.0.1}\nb.example.org: {address: 192.168.0.1}\n"
        for count, text in enumerate(("a: [\n", collision, "\xff\x00"), 1):
            bad.write_text(text, "latin-1")
            self.gateway.reload()
            self.gateway.reload()
            self.assertIs(self.gateway.health.state, State.LAST_GOOD)
            self.assertEqual((len(events), self.names()), (2 * count - 1, BOTH), events)
            self.assertTrue(events[-1].startswith(f"{bad}:"))
            self.assertEqual(self.gateway.health.counts()["last_good"], count)
            bad.write_text(good)
            self.gateway.reload()
            self.assertEqual((self.gateway.health.state, events[-1]), (State.HEALTHY, f"True: {events[-2]}"))

    def test_a_new_file_that_was_never_good_is_told_too(self) -> None:
        """Nothing of it is in force."""
        (self.folder / "n.yaml").write_text("n: [\n")
        self.gateway.reload()
        self.assertIs(self.gateway.health.state, State.LAST_GOOD)
        (self.folder / "n.yaml").unlink()
        self.gateway.reload()
        self.assertIs(self.gateway.health.state, State.HEALTHY)


class RestartTests(LossTestCase):
    """Whatever was read before a restart, it serves what is written, and what was in force where that is lost."""

    def restart(self) -> Running:
        """Another life, with what this one has kept."""
        units = self.gateway.running.registry.units
        last_good = LastGood(self.gateway.folder / "state" / "kept.sqlite")
        last_good.keep({source: Good(unit.digest, len(unit.tokens)) for source, unit in units.items() if unit.digest})
        folders = Folders(lambda: 1e12, lambda: 0.0, last_good.text)
        running = Running(self.gateway.path, config.load(self.gateway.path), folders)
        running.begin(last_good.sources())
        return running

    def labels(self, running: Running) -> list[str]:
        """Of the hosts in force."""
        return sorted(name.partition(".")[0] for name in running.registry.directory.indices.by_name)

    def test_serves_what_is_written_after_a_refused_reload_and_after_a_plan(self) -> None:
        """What they had read was never in force."""
        for what in ("refused", "plan"):
            self.gateway.write("b.yaml", c="192.168.0.3")
            self.gateway.reload()
            self.gateway.write("b.yaml", c="192.168.0.3", camera="192.168.0.4")
            text = self.gateway.path.read_text()
            if what == "refused":
                self.gateway.path.write_text(text + "admission: {queue: 9}\n")
                self.assertEqual(only(self.gateway.reload()).status, Status.REFUSED)
                self.gateway.path.write_text(text)
            else:
                self.gateway.reloader.plan()
                self.gateway.pass_time()
            running = self.restart()
            self.assertEqual((self.labels(running), running.registry.problems), (["a", "b", "c", "camera"], ()))
            self.assertEqual(only(self.gateway.reload()).plan.hosts_added, ("camera.example.org.",))

    def test_a_file_that_is_bad_or_empty_says_what_was_in_force(self) -> None:
        """After a start as well; it is told."""
        for text in ("[", "", "# nothing\n"):
            self.restart()
            before = (self.folder / "a.yaml").read_text()
            (self.folder / "a.yaml").write_text(text)
            running = self.restart_without_keeping()
            self.assertEqual((self.labels(running), bool(running.registry.problems)), (BOTH, True), text)
            (self.folder / "a.yaml").write_text(before)

    def restart_without_keeping(self) -> Running:
        """Another life, with what an earlier one has kept."""
        last_good = LastGood(self.gateway.folder / "state" / "kept.sqlite")
        folders = Folders(lambda: 1e12, lambda: 0.0, last_good.text)
        running = Running(self.gateway.path, config.load(self.gateway.path), folders)
        running.begin(last_good.sources())
        return running

    def test_a_file_that_is_doubted_at_the_start_is_read_again(self) -> None:
        """Who is new in it makes no difference: its loss is doubted by a reload, or accepted; or what was there is."""
        labels = self.many("m.yaml", 1, 20)
        text = (self.folder / "m.yaml").read_text()
        self.gateway.reload()
        self.restart()
        self.gateway.write("m.yaml", h1="192.168.1.1", h2="192.168.1.77", camera="192.168.1.99")
        for last, accepts_loss, left in (
            (None, False, sorted([*BOTH, *labels])),
            (None, True, sorted([*BOTH, "camera", "h1", "h2"])),
            (text, False, sorted([*BOTH, *labels])),
        ):
            running = self.restart_without_keeping()
            self.assertEqual(self.labels(running), sorted([*BOTH, *labels]))
            if last is not None:
                (self.folder / "m.yaml").write_text(last)
            for _ in range(2):
                main = finish(config.loading_all(self.gateway.path))
                written = finish(running.written(main, accepts_loss=accepts_loss, is_patient=False))
                finish(running.commit(written))
            self.assertEqual(self.labels(running), left)
            self.assertEqual(HINT in "".join(running.registry.problems), last is None and not accepts_loss)

    def test_a_file_that_is_doubted_at_the_start_and_gone_then_waits_as_others(self) -> None:
        """It may be there again a moment later, with all that it had."""
        self.gateway.write("c.yaml", c="192.168.0.3")
        self.gateway.reload()
        self.restart()
        (self.folder / "c.yaml").write_text("")
        running = self.restart_without_keeping()
        (self.folder / "c.yaml").unlink()
        written = finish(running.written(finish(config.loading_all(self.gateway.path))))
        self.assertEqual((written.changes.removed, written.changes.waiting), ([], (str(self.folder / "c.yaml"),)))

    def test_a_folder_that_is_not_there_at_the_start_has_its_hosts(self) -> None:
        """And has them after a reload."""
        self.restart()
        self.folder.rename(self.gateway.folder / "away")
        running = self.restart_without_keeping()
        self.assertEqual(self.labels(running), BOTH)
        written = finish(running.written(finish(config.loading_all(self.gateway.path))))
        self.assertEqual((written.changes.removed, bool(written.changes.problems)), ([], True))

    def test_a_loss_that_was_accepted_is_one_after_a_restart(self) -> None:
        """It is in force."""
        (self.folder / "a.yaml").write_text("")
        self.gateway.reload(accepts_loss=True)
        self.assertEqual(self.labels(self.restart()), [])
