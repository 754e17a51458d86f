"""Tests for `realmgw.config.validators`."""

from __future__ import annotations

import enum

from twisted.trial.unittest import SynchronousTestCase

from realmgw.config import validators
from realmgw.config.document import Problems, parse
from realmgw.config.validators import Key, Section, T, Validator


class Colour(enum.Enum):
    """Something to choose from."""

    RED = "red"
    BLUE = "blue"


class Label(enum.Enum):
    """Something to remember by."""

    THING = 1


class ValidatorTestCase(SynchronousTestCase):
    """Reads texts by validators."""

    def setUp(self) -> None:
        """Every test begins without problems."""
        self.problems = Problems("f")

    def value(self, validator: Validator[T], text: str) -> T | None:
        """What a validator makes of a text."""
        node = parse(text.encode(), self.problems)
        assert node is not None
        return validator(node, self.problems)

    def assert_refused(self, validator: Validator[object], text: str, message: str) -> None:
        """The text is refused by exactly one problem, which contains the message."""
        self.problems = Problems("f")
        self.assertIsNone(self.value(validator, text))
        [line] = self.problems.lines()
        self.assertIn(message, line)


class ScalarTests(ValidatorTestCase):
    """Validators of single values."""

    def test_integers_have_a_range(self) -> None:
        """Both bounds belong to it."""
        validator = validators.integer(-1, 10)
        self.assertEqual([self.value(validator, text) for text in ("-1", "10", "+3", "007")], [-1, 10, 3, 7])
        for text in ("-2", "11", "3.0", "0x3", "'3'", "three", "1_0", "9" * 5000):
            self.assert_refused(validator, text, "write a whole number from -1 to 10")

    def test_numbers_have_a_range(self) -> None:
        """Whole ones are numbers too; nothing is not a number, and infinity is out of range."""
        validator = validators.number(0.0, 2.5)
        self.assertEqual(
            [self.value(validator, text) for text in ("0", "2.5", "1.", ".5", "1e-1")], [0, 2.5, 1, 0.5, 0.1]
        )
        for text in ("2.6", "-0.1", "nan", ".inf", "inf", "'1'", "1 s", "1e999"):
            self.assert_refused(validator, text, "write a number from 0 to 2.5")

    def test_zero_and_false_are_values(self) -> None:
        """They are not taken for a problem."""
        self.assertEqual(self.value(validators.sequence(validators.integer(0, 1)), "[0, 0]"), (0, 0))
        self.assertEqual(
            self.value(validators.sequence(validators.boolean), "[false, FALSE, True]"), (False, False, True)
        )
        self.assertEqual(self.problems.lines(), ())

    def test_booleans_are_true_and_false_only(self) -> None:
        """YAML 1.1's other words would be a trap: NO is a country."""
        for text in ("yes", "on", "1", "'true'"):
            self.assert_refused(validators.boolean, text, "write true or false")

    def test_choices_tell_what_there_is(self) -> None:
        """By the values of the enumeration."""
        self.assertIs(self.value(validators.choice(Colour), "blue"), Colour.BLUE)
        self.assert_refused(validators.choice(Colour), "green", "'green' is not known: write red or blue")

    def test_choices_that_there_were_tell_what_to_write_instead(self) -> None:
        """What an operator wrote for an earlier version was no slip of his."""
        validator = validators.choice(Colour, gone={"cyan": "blue"})
        self.assertIs(self.value(validator, "blue"), Colour.BLUE)
        self.assert_refused(validator, "cyan", "'cyan' is no longer there: write blue")

    def test_texts_match_a_pattern(self) -> None:
        """As a whole; quotes make no difference."""
        validator = validators.matching("[a-z]+", "letters")
        self.assertEqual(self.value(validator, "'abc'"), "abc")
        self.assert_refused(validator, "abc1", "'abc1' does not do: write letters")

    def test_names_become_absolute(self) -> None:
        """As `names.absolute` has it."""
        self.assertEqual(self.value(validators.name, "WWW.example.org"), "www.example.org.")
        self.assert_refused(validators.name, "a..b", "f:1:1: 'a..b' is no domain name")

    def test_collections_and_nothing_are_no_single_values(self) -> None:
        """Each is told by what it is."""
        for validator in (
            validators.name,
            validators.boolean,
            validators.integer(0, 9),
            validators.number(0, 9),
            validators.choice(Colour),
        ):
            self.assert_refused(validator, "[a]", "a list stands here: write a single value")
            self.assert_refused(validator, "{a: b}", "a mapping stands here: write a single value")
            for nothing in ("~", "null", "--- "):
                self.assert_refused(validator, nothing, "there is no value: write one")


class CollectionTests(ValidatorTestCase):
    """Validators of collections."""

    def test_a_list_tells_every_bad_item(self) -> None:
        """And has no value then."""
        self.assertIsNone(self.value(validators.sequence(validators.boolean), "[maybe, true, 7]"))
        self.assertEqual([line[:5] for line in self.problems.lines()], ["f:1:2", "f:1:1"])

    def test_a_list_may_need_items(self) -> None:
        """A single value is no list."""
        validator = validators.sequence(validators.boolean, at_least=1)
        self.assertEqual(self.value(validator, "[true]"), (True,))
        self.assert_refused(validator, "[]", "the list has 0 items: write at least 1")
        self.assert_refused(validator, "true", "the single value 'true' stands here: write a list")

    def test_a_table_keeps_its_order(self) -> None:
        """Keys are read by a validator of their own."""
        validator = validators.table(validators.name, validators.integer(0, 9))
        found = self.value(validator, "{b.example.org: 1, A.example.org: 2}")
        self.assertEqual(list((found or {}).items()), [("b.example.org.", 1), ("a.example.org.", 2)])

    def test_a_table_refuses_keys_that_mean_the_same(self) -> None:
        """Even if they are written differently."""
        validator = validators.table(validators.name, validators.integer(0, 9))
        self.assert_refused(
            validator, "{a.example.org: 1, A.example.org.: 2}", "f:1:20: 'A.example.org.' is the same name"
        )
        self.assert_refused(validator, "[]", "a list stands here: write a mapping")
        self.assert_refused(validator, "{a.example.org: 10}", "f:1:17: '10' does not do")

    def test_remembers_values_with_their_places(self) -> None:
        """Good ones only."""
        validator = validators.sequence(validators.remembered(Label.THING, validators.integer(0, 9)))
        self.value(validator, "[3, x, 4]")
        found = [(value, node.column) for value, node in self.problems.remembered[Label.THING]]
        self.assertEqual(found, [(3, 2), (4, 8)])


class SectionTests(ValidatorTestCase):
    """`Section`: a mapping whose keys the schema names."""

    keys: dict[str, Key[object]] = {  # noqa: RUF012  # never changed
        "size": Key(validators.integer(0, 9), required=True),
        "colour": Key(validators.choice(Colour)),
    }

    def test_builds_from_the_keys_that_are_there(self) -> None:
        """The others keep the default of whatever is built."""
        section: Section[dict[str, object]] = Section(dict, self.keys)
        self.assertEqual(self.value(section, "{size: 3}"), {"size": 3})
        self.assertEqual(self.value(section, "{size: 0, colour: red}"), {"size": 0, "colour": Colour.RED})

    def test_suggests_the_nearest_key(self) -> None:
        """Or lists them all, when none is near."""
        section: Section[dict[str, object]] = Section(dict, self.keys)
        self.assert_refused(
            section, "{size: 1, color: red}", "f:1:11: the key 'color' is not known: did you mean 'colour'?"
        )
        self.assert_refused(section, "{size: 1, x: red}", "the key 'x' is not known: write one of size, colour")

    def test_misses_required_keys(self) -> None:
        """An empty section is only good where nothing is required."""
        section: Section[dict[str, object]] = Section(dict, self.keys)
        self.assert_refused(section, "{colour: red}", "the key 'size' is missing")
        self.assert_refused(section, "~", "nothing stands here: write a mapping with one of size, colour")
        self.assertEqual(self.value(Section(dict, {"colour": self.keys["colour"]}), "~"), {})

    def test_tells_all_problems_at_once(self) -> None:
        """A wrong value, an unknown key and a missing one."""
        self.assertIsNone(self.value(Section(dict, self.keys), "{colour: green, x: 1}"))
        self.assertEqual(len(self.problems.lines()), 3)

    def test_takes_capitals_where_told_to(self) -> None:
        """But not the same key in two spellings."""
        section: Section[dict[str, object]] = Section(dict, self.keys, any_case=True)
        self.assertEqual(self.value(section, "{SIZE: 1}"), {"size": 1})
        self.assert_refused(section, "{SIZE: 1, size: 2}", "f:1:11: the key 'size' stands twice")
        self.assert_refused(Section(dict, self.keys), "{size: 1, Colour: red}", "did you mean 'colour'?")

    def test_a_key_has_its_former_name_for_a_release(self) -> None:
        """It is read as before, and told with its place; both names are one too many."""
        section: Section[dict[str, object]] = Section(dict, {"size": Key(validators.integer(0, 9), formerly="length")})
        self.assertEqual(self.value(section, "{length: 3}"), {"size": 3})
        told = "f:1:2: the key 'length' is 'size' now: write that before the next release"
        self.assertEqual((self.problems.outdated, self.problems.lines()), ([told], ()))
        self.assert_refused(section, "{length: 10}", "f:1:10: '10' does not do")
        self.assert_refused(section, "{size: 1, length: 1}", "f:1:11: the key 'length' stands twice: remove one")
        self.assert_refused(section, "{long: 1}", "the key 'long' is not known: write one of size")
        self.assertEqual(self.value(section, "{size: 3}"), {"size": 3})
        self.assertEqual(self.problems.outdated, [])
