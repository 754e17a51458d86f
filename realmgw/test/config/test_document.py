"""Tests for `realmgw.config.document`."""

from __future__ import annotations

from hypothesis import given, settings, strategies
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config import parsers
from realmgw.config.document import MAX_DEPTH, Mapping, Node, Problems, Scalar, Sequence, parse
from realmgw.test import programs


def plain(node: Node | None) -> object:
    """A node as Python's own collections, for comparison."""
    if isinstance(node, Mapping):
        return {key: plain(value) for key, (_, value) in node.pairs.items()}
    if isinstance(node, Sequence):
        return [plain(item) for item in node.items]
    return None if node is None else node.text


class ParseTests(SynchronousTestCase):
    """`parse` makes nodes of text."""

    def setUp(self) -> None:
        """Every test begins without problems."""
        self.problems = Problems("file.yaml")

    def refusal(self, text: bytes) -> str:
        """The only problem of a text."""
        parse(text, self.problems)
        [line] = self.problems.lines()
        return line

    def test_keeps_structure_and_texts(self) -> None:
        """Collections are nested as they were written, and scalars stay texts."""
        node = parse(b"a: {b: [1, 'x', true]}\nc: ~\n", self.problems)
        self.assertEqual(plain(node), {"a": {"b": ["1", "x", "true"]}, "c": "~"})
        self.assertEqual(self.problems.lines(), ())

    def test_counts_lines_and_columns_from_one(self) -> None:
        """A node's place is that of its first character, as editors count."""
        node = parse(b"a:\n  - x\n  - yy: z\n", self.problems)
        assert isinstance(node, Mapping)
        key, value = node.pairs["a"]
        assert isinstance(value, Sequence)
        inner = value.items[1]
        assert isinstance(inner, Mapping)
        places = [(each.line, each.column) for each in (key, value.items[0], inner, inner.pairs["yy"][1])]
        self.assertEqual(places, [(1, 1), (2, 5), (3, 5), (3, 9)])

    def test_tells_quoted_scalars_from_plain_ones(self) -> None:
        """Only a scalar without quotes may be a number, a boolean or nothing."""
        node = parse(b"[1, '1', \"1\"]", self.problems)
        assert isinstance(node, Sequence)
        self.assertEqual([item.plain for item in node.items if isinstance(item, Scalar)], [True, False, False])

    def test_says_nothing_about_an_empty_file(self) -> None:
        """Whether a file may be empty is for others to say."""
        for text in (b"", b"# only a comment\n"):
            self.assertIsNone(parse(text, self.problems))
        self.assertEqual(self.problems.lines(), ())

    def test_skips_a_byte_order_mark(self) -> None:
        """Some editors begin UTF-8 with one."""
        self.assertEqual(plain(parse(b"\xef\xbb\xbfa: b", self.problems)), {"a": "b"})
        self.assertEqual(
            self.refusal(b"\xef\xbb\xbf\xc3\x9f\xff"), "file.yaml:1:2: byte 0xff is not UTF-8: save as UTF-8"
        )

    def test_what_is_for_other_programs_is_not_looked_at(self) -> None:
        """Keys that stand twice, tags, aliases, whatever depth: it must be YAML, and that is all."""
        deep = "[" * (2 * MAX_DEPTH) + "]" * (2 * MAX_DEPTH)
        theirs = f"{{a: 1, a: 2, ? [k] : &x !t [*x, {{b: {deep}}}]}}"
        text = f"A: {theirs}\nmax: 1\nB: *y\nB: {theirs}\nC:\n  A: 1\n"
        node = parse(text.encode(), self.problems, unread=("A", "B"))
        self.assertEqual(plain(node), {"A": "", "max": "1", "B": "", "C": {"A": "1"}})
        self.assertEqual(self.problems.lines(), ())

    def test_what_is_for_other_programs_is_yaml(self) -> None:
        """Else nobody knows where it ends."""
        self.assertIsNone(parse(b"A: {a: [1, 2}\n", self.problems, unread=("A",)))
        [line] = self.problems.lines()
        self.assertIn("this is no YAML", line)

    def test_refuses_a_key_that_stands_twice_and_keeps_the_first(self) -> None:
        """The second one is told with the line of the first."""
        node = parse(b"a: 1\nb: 2\na: 3\n", self.problems)
        self.assertEqual(plain(node), {"a": "1", "b": "2"})
        [line] = self.problems.lines()
        self.assertEqual(line, "file.yaml:3:1: the key 'a' stands twice, first on line 1: remove one")

    def test_refuses_aliases(self) -> None:
        """They would let a few lines stand for gigabytes."""
        self.assertIn("file.yaml:2:4: the alias '*x' is not accepted", self.refusal(b"a: &x [1]\nb: *x\n"))

    def test_stays_in_step_after_an_alias_for_a_key(self) -> None:
        """What follows is still read as key and value."""
        node = parse(b"a: &x k\n*x : v\nb: 2\n", self.problems)
        self.assertEqual(plain(node), {"a": "k", "": "v", "b": "2"})

    def test_refuses_tags(self) -> None:
        """The schema chooses types, nobody else; on scalars and on collections."""
        parse(b"a: !!python/object:os.system x\nb: !mine [1]\n", self.problems)
        first, second = self.problems.lines()
        self.assertIn("file.yaml:1:4: the tag", first)
        self.assertIn("file.yaml:2:4: the tag '!mine' is not accepted", second)

    def test_refuses_a_second_document_and_keeps_the_first(self) -> None:
        """Only one is read from a file."""
        node = parse(b"a: 1\n---\nb: 2\n", self.problems)
        self.assertEqual(plain(node), {"a": "1"})
        self.assertIn("file.yaml:2:1: a second document", self.problems.lines()[0])

    def test_refuses_collections_as_keys(self) -> None:
        """A key is a text."""
        self.assertIn("file.yaml:1:3: a collection can not be a key", self.refusal(b"? [a]\n: b\n"))

    def test_refuses_what_is_no_yaml_with_its_place(self) -> None:
        """The parser's own words tell what it expected."""
        self.assertRegex(self.refusal(b"a: [\n\nb"), r"^file\.yaml:[34]:\d+: this is no YAML: while parsing a flow")

    def test_refuses_control_characters_with_their_place(self) -> None:
        """The place is counted in characters from the beginning."""
        self.assertRegex(self.refusal("a: 1\nß: \x01\n".encode()), r"^file\.yaml:2:4: this is no YAML: ")

    def test_refuses_what_is_not_utf8_with_its_place(self) -> None:
        """The first bad byte is told."""
        self.assertEqual(self.refusal(b"a: 1\nbc: \xff\n"), "file.yaml:2:5: byte 0xff is not UTF-8: save as UTF-8")

    def test_refuses_deep_nesting_of_any_length(self) -> None:
        """A megabyte of brackets is refused at the first one too many; no stack overflows."""
        for opening in (b"[", b"- ", b"{a: "):
            problems = Problems("file.yaml")
            self.assertIsNone(parse(opening * 300_000, problems))
            [line] = problems.lines()
            self.assertIn(f"nested more than {MAX_DEPTH} deep", line)

    def test_reads_colons_within_words(self) -> None:
        """Endpoints and IPv6 addresses need no quotes, even in a list on one line."""
        node = parse(b"[192.0.2.1:53, 2001:db8::1, {a: 2001:db8::2}]", self.problems)
        self.assertEqual(plain(node), ["192.0.2.1:53", "2001:db8::1", {"a": "2001:db8::2"}])
        self.assertEqual(self.problems.lines(), ())

    def test_keeps_the_problems_that_were_there(self) -> None:
        """And adds to them."""
        self.problems.at(1, 1, "there before")
        parse(b"a: *x", self.problems)
        self.assertEqual(len(self.problems.lines()), 2)


class LongTextTests(SynchronousTestCase):
    """What is long is read once, by the C parser."""

    skip = programs.missing_modules("_ruamel_yaml")

    def setUp(self) -> None:
        """Everything above ten characters is long."""
        self.patch(parsers, "MAX_REREAD", 10)

    def test_tells_the_place_of_a_bad_character(self) -> None:
        """In characters, not in octets."""
        problems = Problems("f")
        self.assertIsNone(parse("a: ßßß\nß: \x01\n".encode(), problems))
        self.assertRegex(problems.lines()[0], r"^f:2:[45]: this is no YAML: ")

    def test_tells_what_the_c_parser_could_not_read(self) -> None:
        """Its word is the last one."""
        problems = Problems("f")
        self.assertIsNone(parse(b"a: [192.0.2.1:53]\n", problems))
        self.assertRegex(problems.lines()[0], r"^f:1:\d+: this is no YAML: ")


class AnyTextTests(SynchronousTestCase):
    """Whatever a file holds."""

    @settings(max_examples=100, deadline=None)
    @given(
        strategies.binary(max_size=80)
        | strategies.text(alphabet="ab:-[]{}'\"*&!? \n|>#,%@", max_size=60).map(str.encode)
    )
    def test_never_raises(self, text: bytes) -> None:
        """Whatever the file holds: nodes, problems, or both, and never an exception."""
        problems = Problems("file.yaml")
        parse(text, problems)
        for line in problems.lines():
            self.assertRegex(line, r"^file\.yaml:[1-9]\d*:[1-9]\d*: .")


class SlowParseTests(ParseTests):
    """Without the C parser, everything is the same."""

    def setUp(self) -> None:
        """Takes the C parser away."""
        super().setUp()
        self.patch(parsers, "CParser", None)


class ProblemsTests(SynchronousTestCase):
    """`Problems` gathers."""

    def test_tells_problems_in_the_order_of_the_file(self) -> None:
        """Whoever found them first."""
        problems = Problems("f")
        problems.at(10, 1, "later")
        problems.add(Scalar(2, 3, "x", plain=True), "earlier")
        problems.add(None, "as a whole")
        self.assertEqual(problems.lines(), ("f:1:1: as a whole", "f:2:3: earlier", "f:10:1: later"))
