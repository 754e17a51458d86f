"""Validators of values: each turns a node into a typed value, or notes a problem that says what to write instead.

A validator is called with a node and problems. None means that a problem was noted: whoever called goes on with what is
beside it, so that one run tells everything. Validators are put together by `sequence`, `table` and `Section`; the keys
of a section are those fields of the class that it makes which are declared by `key`. What is put together can be long,
however short each part is: `reading` reads it in steps, and calling it at once.
"""

from __future__ import annotations

import difflib
import enum
import re
from collections.abc import Callable, Iterable
from collections.abc import Mapping as AbstractMapping
from sys import maxsize
from typing import Any, Generic, TypeVar

import attrs

from realmgw.config import names
from realmgw.config.document import Mapping, Node, Problems, Scalar, Sequence
from realmgw.config.steps import Steps, finish

T = TypeVar("T")
U = TypeVar("U")
T_co = TypeVar("T_co", covariant=True)
E = TypeVar("E", bound=enum.Enum)
Read = Callable[[Node, Problems], T | None]
Json = dict[str, Any]

_INTEGER = re.compile(r"[-+]?[0-9]+")
_NUMBER = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")
_BOOLEANS = {"true": True, "false": False}


class Validator(Generic[T_co]):
    """What a value must be.

    Attributes:
        read: Makes the value of a node, or notes a problem and returns None.
        schema: The same as a JSON schema, as far as that can say it.
    """

    def __init__(self, read: Read[T_co], schema: Json | None = None) -> None:
        self.read = read
        self.schema = schema or {}

    def __call__(self, node: Node, problems: Problems) -> T_co | None:
        """The value, or None after a problem; at once."""
        return self.read(node, problems)


class Stepwise(Validator[T_co]):
    """A validator of what can be long.

    Args:
        steps: Reads it, step by step.
    """

    def __init__(self, steps: Callable[[Node, Problems], Steps[T_co | None]], schema: Json | None = None) -> None:
        super().__init__(lambda node, problems: finish(steps(node, problems)), schema)
        self.steps = steps


def key(validator: Validator[object], default: object = attrs.NOTHING, *, formerly: str | None = None) -> Any:
    """A field of a class that a section makes: the key of this name, which must be there if it has no default.

    What it was called formerly, until the release before, is read as well, and told.
    """
    return attrs.field(default=default, metadata={Key: Key(validator, default is attrs.NOTHING, formerly)})


def reading(validator: Validator[T], node: Node, problems: Problems) -> Steps[T | None]:
    """What a validator makes of a node, in steps where that can be long."""
    if isinstance(validator, Stepwise):
        value: T | None = yield from validator.steps(node, problems)
        return value
    return validator(node, problems)


def remembered(label: enum.Enum, validator: Validator[T]) -> Validator[T]:
    """The same validator, whose values are remembered with their places, to be compared with those of others."""

    def read(node: Node, problems: Problems) -> Steps[T | None]:
        value = yield from reading(validator, node, problems)
        if value is not None:
            problems.remember(label, value, node)
        return value

    return Stepwise(read, validator.schema)


def converted(validator: Validator[T], make: Callable[[T], U]) -> Validator[U]:
    """The same validator, of whose values others are made."""

    def read(node: Node, problems: Problems) -> Steps[U | None]:
        value = yield from reading(validator, node, problems)
        return None if value is None else make(value)

    return Stepwise(read, validator.schema)


def parsed(parse: Callable[[str], T], **schema: Any) -> Validator[T]:
    """A validator of text.

    Args:
        parse: Makes the value; its ValueError's message is the problem.
        schema: What is known of the text, for its JSON schema.
    """

    def read(node: Node, problems: Problems) -> T | None:
        written = scalar(node, problems)
        if written is None:
            return None
        try:
            return parse(written)
        except ValueError as error:
            problems.add(node, str(error))
            return None

    return Validator(read, {"type": "string", **schema})


def scalar(node: Node, problems: Problems) -> str | None:
    """The text of a scalar; an empty one is a problem."""
    if not isinstance(node, Scalar):
        problems.add(node, f"{shape(node)} stands here: write a single value")
        return None
    if is_null(node):
        problems.add(node, "there is no value: write one, or remove the key")
        return None
    return node.text


def shape(node: Node) -> str:
    """What a node is, for messages."""
    if isinstance(node, Scalar):
        return "nothing" if is_null(node) else f"the single value {node.text!r}"
    return "a list" if isinstance(node, Sequence) else "a mapping"


def is_null(node: Node) -> bool:
    """Whether nothing was written: no value, `~` or `null`."""
    return isinstance(node, Scalar) and node.plain and node.text in ("", "~", "null")


plain_text = parsed(str)
"""Any text."""
name = parsed(names.absolute)
"""A domain name, made absolute and lower case."""


def matching(pattern: str, expected: str) -> Validator[str]:
    """A text.

    Args:
        pattern: What the whole text must match.
        expected: The same for humans.
    """
    compiled = re.compile(pattern)

    def parse(text: str) -> str:
        if compiled.fullmatch(text) is None:
            raise ValueError(f"{text!r} does not do: write {expected}")
        return text

    return parsed(parse, pattern=f"^{pattern}$")


def _unquoted(parse: Callable[[str], T | None], expected: str, **schema: Any) -> Validator[T]:
    """A validator of what YAML has a type for, so that a text in quotes is none; `parse` gives None for others."""

    def read(node: Node, problems: Problems) -> T | None:
        text = scalar(node, problems)
        if text is None:
            return None
        value = parse(text) if isinstance(node, Scalar) and node.plain else None
        if value is None:
            problems.add(node, f"{text!r} does not do: write {expected}")
        return value

    return Validator(read, schema)


def integer(low: int, high: int) -> Validator[int]:
    """A whole number within two bounds, which both belong to the range."""

    def parse(text: str) -> int | None:
        return int(text) if _INTEGER.fullmatch(text) and len(text) <= 20 and low <= int(text) <= high else None

    expected = f"a whole number from {low} to {high}, without quotes"
    return _unquoted(parse, expected, type="integer", minimum=low, maximum=high)


def number(low: float, high: float) -> Validator[float]:
    """A number within two bounds, which both belong to the range."""

    def parse(text: str) -> float | None:
        return float(text) if _NUMBER.fullmatch(text) and low <= float(text) <= high else None

    expected = f"a number from {low:g} to {high:g}, without quotes"
    return _unquoted(parse, expected, type="number", minimum=low, maximum=high)


boolean = _unquoted(lambda text: _BOOLEANS.get(text.lower()), "true or false", type="boolean")
"""`true` or `false`, in any case."""


def choice(
    members: type[E], *, gone: AbstractMapping[str, str] | None = None, in_any_case: bool = False
) -> Validator[E]:
    """A member of an enumeration by its value, which is a text.

    Args:
        members: The enumeration.
        gone: Values that earlier versions knew, each with what is to be written instead.
        in_any_case: The values are in capitals, and may be written otherwise.
    """
    known = [member.value for member in members]

    def parse(text: str) -> E:
        if gone and text in gone:
            raise ValueError(f"{text!r} is no longer there: write {gone[text]}")
        try:
            return members(text.upper() if in_any_case else text)
        except ValueError:
            raise ValueError(f"{text!r} is not known: write {' or '.join(known)}") from None

    return parsed(parse) if in_any_case else parsed(parse, enum=known)


def sequence(item: Validator[T], *, at_least: int = 0, at_most: int = maxsize) -> Validator[tuple[T, ...]]:
    """A list.

    Args:
        item: The validator of its items.
        at_least: How many items there must be.
        at_most: How many there may be.
    """

    def read(node: Node, problems: Problems) -> Steps[tuple[T, ...] | None]:
        if not isinstance(node, Sequence):
            problems.add(node, f"{shape(node)} stands here: write a list, [...]")
            return None
        if len(node.items) < at_least:
            problems.add(node, f"the list has {len(node.items)} items: write at least {at_least}")
            return None
        if len(node.items) > at_most:
            problems.add(node, f"the list has {len(node.items)} items: write at most {at_most}")
            return None
        good: list[T] = []
        for each in node.items:
            value = yield from reading(item, each, problems)
            if value is not None:
                good.append(value)
            elif problems.are_many(each.line, each.source):
                return None
            yield None
        return tuple(good) if len(good) == len(node.items) else None

    return Stepwise(read, {"type": "array", "items": item.schema, **({"minItems": at_least} if at_least else {})})


def table(key: Validator[str], value: Validator[T]) -> Validator[dict[str, T]]:
    """A mapping whose keys the operator chooses, in the order of the text; two that mean the same are a problem."""

    def read(node: Node, problems: Problems) -> Steps[dict[str, T] | None]:
        if not isinstance(node, Mapping):
            problems.add(node, f"{shape(node)} stands here: write a mapping, {{key: value}}")
            return None
        values: dict[str, T] = {}
        complete = True
        for key_node, value_node in node.pairs.values():
            yield None
            if problems.are_many(key_node.line, key_node.source):
                return None
            the_key = yield from reading(key, key_node, problems)
            the_value = yield from reading(value, value_node, problems)
            if the_key is None or the_value is None:
                complete = False
            elif the_key in values:
                problems.add(key_node, f"{key_node.text!r} is the same name as one above: remove one")
                complete = False
            else:
                values[the_key] = the_value
        return values if complete else None

    return Stepwise(read, {"type": "object", "additionalProperties": value.schema})


@attrs.frozen(eq=False)
class Key(Generic[T_co]):
    """A key of a section."""

    validator: Validator[T_co]
    """What its value is."""
    required: bool = False
    """Whether it must be there; if not, the value that is built has the default."""
    formerly: str | None = None
    """What it was called before, which is read as well."""


def keys_of(made: type) -> dict[str, Key[object]]:
    """The keys that the fields of a class are declared by."""
    fields: tuple[attrs.Attribute[object], ...] = attrs.fields(made)
    return {field.name: field.metadata[Key] for field in fields if Key in field.metadata}


class Section(Stepwise[T]):
    """A mapping whose keys the schema names; when none of them is required, it may be left empty.

    Attributes:
        keys: What may stand in it.
        build: Makes the value.
        former: What is read by a former name as well, by that name.
    """

    def __init__(
        self,
        build: Callable[..., T],
        keys: AbstractMapping[str, Key[object]] | None = None,
        *,
        any_case: bool = False,
    ) -> None:
        """Makes a section.

        Args:
            build: Makes the value from the keys that were there, as keywords.
            keys: By their names; None: those that the fields of the class `build` are declared by.
            any_case: Keys may be written in capitals too; the names in `keys` are lower case.
        """
        self.keys = keys_of(build) if keys is None and isinstance(build, type) else keys or {}
        needed = [word for word, each in self.keys.items() if each.required]
        schema = {
            "type": "object" if needed else ["object", "null"],
            "properties": {
                word.upper() if any_case else word: each.validator.schema for word, each in self.keys.items()
            },
        }
        super().__init__(self._reading, schema if any_case or not needed else {**schema, "required": needed})
        self.build = build
        self._any_case = any_case
        self.former = {each.formerly: word for word, each in self.keys.items() if each.formerly}

    def _reading(self, node: Node, problems: Problems) -> Steps[T | None]:
        values = yield from self._values(node, problems)
        return None if values is None else self.build(**values)

    def _values(self, node: Node, problems: Problems) -> Steps[dict[str, object] | None]:
        """The values of those keys that are there; None when any is missing, unknown or wrong."""
        if is_null(node) and not any(key.required for key in self.keys.values()):
            return {}
        if not isinstance(node, Mapping):
            problems.add(node, f"{shape(node)} stands here: write a mapping with {_listed(self.keys)}")
            return None
        before = len(problems.found)
        values: dict[str, object] = {}
        for text, (key_node, value_node) in node.pairs.items():
            yield None
            if problems.are_many(key_node.line, key_node.source):
                return None
            word = text.lower() if self._any_case else text
            if word in self.former:
                word = self.former[word]
                problems.outdate(key_node, f"the key {text!r} is {word!r} now: write that before the next release")
            key = self.keys.get(word)
            if key is None:
                problems.add(key_node, f"the key {text!r} is not known: {suggestion(text, self.keys)}")
            elif word in values:
                problems.add(key_node, f"the key {text!r} stands twice: remove one")
            else:
                values[word] = yield from reading(key.validator, value_node, problems)
        for word, key in self.keys.items():
            if key.required and word not in values:
                problems.add(node, f"the key {word!r} is missing: write it")
        return values if len(problems.found) == before else None


def suggestion(text: str, known: Iterable[str]) -> str:
    """What somebody may have meant, and what he may write."""
    words = list(known)
    near = difflib.get_close_matches(text[:64].lower(), words, n=1)
    return f"did you mean {near[0]!r}?" if near else f"write {_listed(words)}"


def _listed(words: Iterable[str]) -> str:
    return "one of " + ", ".join(words)
