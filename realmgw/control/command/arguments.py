"""What the command line's parser does beyond argparse's own: it guesses what was meant, and knows the usual options.

Edge: the command line.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

from realmgw.config.validators import suggestion

DEFAULT_CONFIG = Path("/etc/realmgw/realmgw.yaml")
"""The main file, when the command line names none."""


class Parser(argparse.ArgumentParser):
    """A parser that tells what may have been meant, and does nothing that was not written."""

    def __init__(self, *args: Any, **more: Any) -> None:
        """As argparse's own, but an option is its whole name: a beginning of one may be meant for another."""
        super().__init__(*args, **{**more, "allow_abbrev": False})

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """A word that is none of those that may stand there."""
        if action.choices is not None and value not in action.choices:
            what = "command" if isinstance(action, argparse._SubParsersAction) else "word"  # noqa: SLF001 - no other way
            raise argparse.ArgumentError(
                None, f"there is no {what} {value!r} here: {suggestion(value, map(str, action.choices))}"
            )

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """See `argparse.ArgumentParser.parse_args`."""
        options, unknown = self.parse_known_args(args, namespace)
        if unknown:
            self._refuse(unknown, getattr(options, "parser", self))
        return options

    def _refuse(self, unknown: Iterable[str], parser: argparse.ArgumentParser) -> NoReturn:
        """What no parser wanted; an option may be one of those that the command has."""
        known = [each for action in parser._actions for each in action.option_strings]  # noqa: SLF001 - no other way
        hints = [
            f"{each!r}: {suggestion(each.partition('=')[0], known)}"
            if each.startswith("-")
            else f"{each!r} is too much"
            for each in unknown
        ]
        parser.error("; ".join(hints))


def add_usual(parser: argparse.ArgumentParser, *, top: bool = False) -> None:
    """The options that may stand anywhere: before the command, after it, and between its words.

    Args:
        parser: Gets them.
        top: It is the first one, which knows the defaults; the others must not overwrite what stands before them.
    """
    missing = argparse.SUPPRESS
    usual = parser.add_argument_group("options that may stand anywhere")
    usual.add_argument(
        "--config", type=Path, metavar="FILE", help=f"main file [{DEFAULT_CONFIG}]",
        default=DEFAULT_CONFIG if top else missing,
    )  # fmt: skip
    usual.add_argument(
        "--socket", type=Path, metavar="FILE", help="control socket [what the main file says]",
        default=None if top else missing,
    )  # fmt: skip
    usual.add_argument(
        "--json", action="store_true", help="print the answer as JSON", default=False if top else missing
    )
