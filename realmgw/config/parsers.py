"""The parsers of YAML: a text as events, one after the other."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from ruamel.yaml import YAML
from ruamel.yaml.events import Event
from ruamel.yaml.reader import ReaderError

from realmgw.config.steps import Steps, portions

try:
    # Without the loader that ruamel.yaml puts around it, whose parts refer to each other: thousands of them would wait
    # for the garbage collector.
    from _ruamel_yaml import CParser
except ImportError:  # the C parser is an optional part of ruamel.yaml: without it, the same at a tenth of the speed
    CParser = None  # checked before its only use

MAX_REREAD = 2**20  # characters
"""How long a text may be that is read again by the slower parser; a few seconds."""
MAX_STRETCH = 2**14  # characters
"""It reads the text between two marks of YAML's structure in one go: one that has a longer stretch is left to the fast
parser."""

_STRUCTURE = re.compile(r"^[ \t]*#[^\n]*|[,:\[\]{}]", re.MULTILINE)


def in_turn(text: str, reread: int | None = None) -> Steps[tuple[Callable[[str], Iterator[Event]], ...]]:
    """The parsers to try in turn.

    The C parser is ten times as fast, but refuses some YAML 1.2 that people write, `[192.0.2.1:53]` among it. So what
    it can not read is read again by the other one, which has the last word, if that does not take long.

    Args:
        text: What is to be read.
        reread: How long it may be for the slower one; None: `MAX_REREAD`.
    """
    if CParser is None:
        return (_events,)
    limit = MAX_REREAD if reread is None else reread
    is_short = len(text) <= limit and (yield from _longest_stretch(text)) <= MAX_STRETCH
    return (_fast_events, _events) if is_short else (_fast_events,)


def _longest_stretch(text: str) -> Steps[int]:
    """How long a text goes on without anything that may be of YAML's structure, about; comments are nothing.

    It is enough to know that some stretch is too long: nothing is looked for any further.
    """
    longest = last = 0
    for marks in portions(_marks(text)):
        for mark in marks:
            if mark.end() - mark.start() == 1:
                longest, last = max(longest, mark.start() - last), mark.start()
        yield None
    return max(longest, len(text) - last)


def _marks(text: str) -> Iterator[re.Match[str]]:
    """What may be of YAML's structure, and comments, until there is a stretch that is too long."""
    at = 0
    while mark := _STRUCTURE.search(text, at, at + MAX_STRETCH + 1):
        yield mark
        # A comment may be longer than what was looked at.
        at = mark.end() if mark.end() - mark.start() == 1 else text.find("\n", mark.start())
        if at < 0:
            break


def _events(text: str) -> Iterator[Event]:
    """The events of the parser in Python."""
    yield from YAML(typ="safe", pure=True).parse(text)


def _fast_events(text: str) -> Iterator[Event]:
    """The events of the parser in C."""
    try:
        parser = CParser(text)
        while (event := parser.get_event()) is not None:
            yield event
    except ReaderError as error:
        error.position = len(text.encode()[: error.position].decode(errors="ignore"))  # it counts octets
        raise
