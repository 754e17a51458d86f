"""The operator's own rules, which stand in a table of their own: what of a file may stand there. Pure.

Each file is what stands within `table inet ... { }`. There nft knows no command, so no file can touch another table, as
long as its braces do not end ours; and that is seen here, by the words of nft's own scanner: a string ends at the next
quotation mark, a comment with its line, and nothing escapes anything. What a file says beyond that is nft's business.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import attrs

from realmgw.datapath import membership
from realmgw.datapath.watch import ownership

FOLDER, ENDING = "nft.d", ".nft"
"""In each layer (`drop_ins`), and of which files."""
MAX_FILE = 1 << 20  # octets
"""The longest file."""
MAX_ALL = 1 << 22  # octets
"""All of them together."""
MAX_FILES = 100
"""So many there may be."""
MAX_SENTENCE = 200
"""So much is told of what nft says; it may quote a name of any length."""

_OURS = r"(?:set|map)[ \t]+(?:subscribers6?|group6?_[\w./-]*)"
"""A declaration of a set that is the gateway's."""
_WORDS = re.compile(rf"""\"[^"]*"|"|#[^\n]*|[{{}}]|(?<![\w./-])(?:include|flags[ \t]*\w*|{_OURS})(?![\w./-])|\0""")
_FLAGS = {
    "dormant": "a table with 'flags dormant' does nothing: remove the line, or the file",
    "owner": "a table with 'flags owner' ends with the program that made it, the gateway: remove the line",
}
"""What is wrong with flags of the table; those of sets and chains stand deeper."""
_AT = re.compile(r"/dev/stdin:(\d+):(\d+)(?:-\d+)?: (.*)", re.DOTALL)


@attrs.frozen
class Include:
    """A file."""

    path: str
    """As messages name it."""
    text: str
    """What stands in it; it ends with a newline."""


def local_table(table: str) -> str:
    """The name of the table that includes stand in.

    Args:
        table: The name of the main one.
    """
    return f"{table}_local"


def problem(include: Include) -> str | None:
    """Why a file can not stand within a table, with its line; None: it can, if nft thinks so, too."""
    opened: list[int] = []
    for word in _WORDS.finditer(include.text):
        why = _wrong(word[0], opened, word.start())
        if why is not None:
            return _at(include, word.start(), why)
    if opened:
        return _at(include, opened[-1], "this '{' is not closed: is the file written to its end?")
    return None


def _wrong(word: str, opened: list[int], at: int) -> str | None:
    if word == "{":
        opened.append(at)
    elif word == "}" and opened:
        opened.pop()
    elif word == "}":
        return "a '}' that closes nothing: write only what may stand within `table ... { }`"
    elif word == "include":
        return "an include can not include: put the other file into nft.d as well"
    elif word.startswith(("set", "map")) and not opened:
        return f"'{word.split()[1]}' is one of the gateway's own sets: give yours another name"
    elif word.startswith("flags") and not opened:
        return _FLAGS.get(word[5:].strip(), "the table's flags are not yours to set: remove the line")
    elif word == '"':
        return "this '\"' is not closed: is the file written to its end?"
    elif word == "\0":
        return "an octet 0 is in it"
    return None


def _at(include: Include, at: int, why: str) -> str:
    line = include.text.count("\n", 0, at)
    column = at - (include.text.rfind("\n", 0, at) + 1)
    return f"{include.path}:{line + 1}:{column + 1}: {why}"


def commands(table: str, gateway: str, includes: Sequence[Include]) -> str:
    """What places the table, where there is none of its name; the sets of `membership` that it names are empty.

    Args:
        table: Its name.
        gateway: The gateway's name.
        includes: What stands in it; all of them are without a `problem`.
    """
    texts = "".join((*_sets(includes), *(each.text for each in includes)))
    return f'table inet {table} {{\n\tcomment "{ownership.comment(gateway)}"\n{texts}}}\n'


def _sets(includes: Iterable[Include]) -> tuple[str, ...]:
    names = membership.named(each.text for each in includes)
    return tuple(f"\tset {name} {{ type {membership.kind(name)}; }}\n" for name in names)


def lines_before(includes: Sequence[Include], last: Include) -> int:
    """How many lines of `commands` stand before the first one of the last file, which follows the others."""
    return 2 + len(_sets((*includes, last))) + sum(each.text.count("\n") for each in includes)


def refusal(message: str, include: Include, before: int) -> str:
    """What nft says, with the place in the file.

    Args:
        message: It.
        include: The file, the last one of what was checked.
        before: How many lines stood before it.
    """
    found = _AT.search(message)
    if found is None:
        return f"{include.path}:1:1: {message.splitlines()[0] if message else 'nft refuses it and does not say why'}"
    line = int(found[1]) - before
    sentence = found[3].splitlines()[0].removeprefix("Error: ")[:MAX_SENTENCE]
    last = include.text.count("\n")
    return f"{include.path}:{min(max(line, 1), last)}:{found[2]}: {sentence}"
