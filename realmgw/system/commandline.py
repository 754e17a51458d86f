"""Options of a command that may stand before its words, behind them and between them. Edge: the command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import click


def anywhere(kept: type[object], *names: str, text: str, **more: Any) -> click.Option:
    """Make an option for every command of a command line.

    Args:
        kept: Of this is the context's object; what is said becomes its attribute by the option's name.
        names: As they are written, the long one first.
        text: Its help.
        more: As `click.Option` takes it.
    """

    def say(context: click.Context, parameter: click.Parameter, value: object) -> None:
        """What stands further on counts; what does not stand there changes nothing."""
        if value:
            setattr(context.ensure_object(kept), str(parameter.name), value)

    return click.Option(list(names), expose_value=False, callback=say, help=text, **more)


class Command(click.Command):
    """A command with the options that may stand anywhere: before it, behind it, and between its words.

    Nothing that is said to it is empty.
    """

    everywhere: ClassVar[Sequence[click.Option]] = ()
    """They, as `anywhere` makes them."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.params += self.everywhere

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does; what is said and empty, as `"$NAME"` is where nobody has set it, is refused as wrong usage."""
        if not ctx.resilient_parsing:
            said, _, _ = self.make_parser(ctx).parse_args(list(args))
            for each in self.get_params(ctx):
                value = said.get(str(each.name))
                if "" in (value if isinstance(value, list | tuple) else (value,)):
                    raise click.BadParameter("it is empty", ctx, each)
        return super().parse_args(ctx, args)
