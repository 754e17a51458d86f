"""A purge without a running gateway: after a crash, a stop, or a start that failed. Edge: files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath

from realmgw import config
from realmgw.config import identifiers
from realmgw.control.commands import CommandError, ExitStatus
from realmgw.datapath.client import open_nft, run_program
from realmgw.datapath.place import Place
from realmgw.datapath.watch.own import Own
from realmgw.system.disk import HeldError


def purge(main_file: Path, table: str | None) -> tuple[str, ...]:
    """Remove everything that stands under the name of a table, and put kernel settings back.

    Args:
        main_file: Says which table, unless that is said, and where the state is; if it can not be used, the last good
            one does.
        table: The table's name.

    Returns:
        What was done and what stays, one line each.

    Raises:
        CommandError: A gateway runs, or that is no name of a table; nothing was done.
        ConfigurationError: Neither the main file nor the last good one can be used; nothing was done.
        PlatformError: We may not, or something of that name is somebody else's; nothing was done.
        RealmGatewayError: Something was refused; what was not reached yet still stands.
    """
    name, state = _of(main_file, table)
    with _alone(name):
        nft = open_nft()
        try:
            return Own(name, state, lambda: nft, run_program).remove()
        finally:
            nft.close()


def subject(main_file: Path, table: str | None) -> str:
    """What is typed so that no other is purged: the table's name where that was said, else the gateway's.

    Raises:
        ConfigurationError: Neither the main file nor the last good one can be used.
    """
    return table or config.load_or_last_good(main_file).settings.name.removesuffix(".")


def _of(main_file: Path, table: str | None) -> tuple[str, PurePath]:
    """The table's name, and the state folder."""
    if table is None:
        settings = config.load_or_last_good(main_file).settings
        return settings.datapath.table, settings.state
    problem = identifiers.problem(identifiers.table_name, table)
    if problem:
        raise CommandError(ExitStatus.USAGE, f"--table: {problem}")
    return table, config.state_folder(main_file)


@contextmanager
def _alone(table: str) -> Iterator[None]:
    """In the place of a gateway: none runs, and none begins to."""
    place = Place(table)
    try:
        place.take()
        yield
    except HeldError as error:
        ours = (
            f"a gateway runs with the table {table}: `realmgw purge` without --offline has it purge itself, or stop it"
        )
        raise CommandError(ExitStatus.FAILED, str(error) if place.holder() is None else ours) from None
    finally:
        place.release()
