"""Tests for `realmgw.subscribers.files.incremental`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.document import Problems, parse
from realmgw.config.steps import finish
from realmgw.subscribers.files.incremental import Unit, read
from realmgw.subscribers.schema import entries
from realmgw.test.subscribers.test_registry import host

TEXTS = (
    "",
    "# nothing\n",
    host("a", 1, "x") + "\n# b\n" + host("b", 2, "y"),
    "---\n" + host("a", 1, "x"),
    "{a.example.org: {address: 192.168.0.1}, b.example.org: {address: 192.168.0.2}}",
    "a.example.org: {\n  address: 192.168.0.1\n}\nb.example.org:\n  address: 192.168.0.2\n",
    '"a.example.org":\n  address: "192.168.0.1"\n',
    "a.example.org:\r\n  address: 192.168.0.1\r\nb.example.org:\r\n  address: 192.168.0.2\r\n",
)


def unit(text: str, former: Unit | None = None) -> Unit:
    """What a file says."""
    return finish(read("f.yaml", text.encode(), former))


class ReadTests(SynchronousTestCase):
    """A file piece by piece."""

    def test_says_what_the_whole_file_says(self) -> None:
        """Whatever it looks like."""
        for text in TEXTS:
            problems = Problems("f.yaml")
            root = parse(text.encode(), problems)
            whole = {} if root is None else {entry.name: entry.address for entry in entries(root, problems)}
            found = unit(text)
            self.assertEqual({name: entry.address for name, entry in found.entries.items()}, whole, text)
            self.assertEqual((found.problems, set(found.tokens)), ((), set(whole)), text)

    def test_parses_only_what_is_written_differently(self) -> None:
        """What is known is not read again."""
        first = unit(host("a", 1, "x") + host("b", 2, "y"))
        first.entries.clear()  # type: ignore[attr-defined]  # as the registry does when they are hosts
        second = unit(host("b", 2, "y") + host("a", 1, "x", limit=4), first)
        self.assertEqual(list(second.entries), ["a.example.org."])
        self.assertEqual(second.tokens["b.example.org."], first.tokens["b.example.org."])

    def test_tells_places_within_the_file(self) -> None:
        """Not within the piece."""
        text = host("a", 1, "x") + "\n# here:\n" + "b.example.org:\n  address: 192.168.0.2\n  limit: 3\n"
        [problem] = unit(text).problems
        self.assertTrue(problem.startswith("f.yaml:6:3: "), problem)

    def test_a_problem_leaves_what_was_said_before(self) -> None:
        """All of it, since the file counts as a whole."""
        first = unit(host("a", 1, "x"))
        second = unit(host("b", 2, "y") + "c: [\n", first)
        self.assertEqual((second.tokens, bool(second.problems)), (first.tokens, True))

    def test_a_host_stands_in_a_file_once(self) -> None:
        """Twice is a problem, whether it says the same or not."""
        for text in (host("a", 1, "x") * 2, host("a", 1, "x") + host("a", 2, "y")):
            self.assertIn("twice", unit(text).problems[0])
