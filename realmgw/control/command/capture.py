"""`realmgw capture`: what it can be told. Edge: the command line, the terminal."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from realmgw.control.command.arguments import FILE, Command, Usual

LATEST, LARGEST = 3600, 1 << 40  # seconds, octets
"""Nothing goes on for longer, and no file becomes larger."""
_TIMES = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600}
_SIZES = {"": 1, "k": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_QUANTITY = re.compile(r"([0-9]{1,9})([a-zA-Z]*)")


def _quantity(units: Mapping[str, int], most: int) -> Callable[[click.Context, click.Parameter, str], int]:
    """Reads a number with a unit."""

    def read(_context: click.Context, _parameter: click.Parameter, text: str) -> int:
        found = _QUANTITY.fullmatch(text)
        quantity = int(found[1]) * units.get(found[2], 0) if found else 0
        if not 0 < quantity <= most:
            from realmgw.config.quoting import shortened  # noqa: PLC0415 - for this only

            known = ", ".join(filter(None, units))
            raise click.BadParameter(f"{shortened(repr(text))} is no number with a unit ({known}), or is too large")
        return quantity

    return read


@click.command("capture", cls=Command)
@click.option(
    "--name", metavar="NAME", help="All that belongs to this name: queries, answers, and packets of its clients."
)
@click.option(
    "--host", metavar="NAME", help="All packets of this host: its name, that of one of its services, or its address."
)
@click.option(
    "--flow", nargs=2, metavar="CLIENT:PORT ADDRESS:PORT",
    help="One flow: where the client is, and where it comes to, inside or outside; without ports, all between them.",
)  # fmt: skip
@click.option("-w", "--write", type=FILE, metavar="FILE", help="Write pcapng to a new file; -: to the standard output.")
@click.option(
    "--for", "seconds", callback=_quantity(_TIMES, LATEST), default="1m", show_default=True, metavar="TIME",
    help="How long: 10s, 2m, 1h.",
)  # fmt: skip
@click.option(
    "--max-size", "size", callback=_quantity(_SIZES, LARGEST), default="100M", show_default=True, metavar="SIZE",
    help="How large the file may become: 500k, 10M, 1G.",
)  # fmt: skip
@click.pass_obj
def capture(usual: Usual, /, write: Path | None, seconds: int, size: int, **meant: Any) -> None:
    """Capture the packets of a name, a host or a flow, inside and outside, and say of each whose it is."""
    from realmgw.control.command import capturing  # noqa: PLC0415 - questions need not wait for what it imports

    written, dropped = capturing.run(usual, capturing.meant(usual, **meant), write, seconds, size)
    lost = f", {dropped} dropped: there were more at once than could be read" if dropped else ""
    click.echo(f"{written} packets{lost}", err=True)
