"""The `realmgw` command. Exit status: 0 all is well, 1 problems were found, 2 the command line was wrong."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from realmgw import __version__, config, subscribers
from realmgw.config.settings import Pools, Settings
from realmgw.errors import ConfigurationError
from realmgw.subscribers.model import Directory

DEFAULT_CONFIG = Path("/etc/realmgw/realmgw.yaml")
"""The main file, when the command line names none."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command line.

    Args:
        arguments: Without the program's name; by default those of the process.

    Returns:
        The exit status.

    Raises:
        SystemExit: The command line was wrong (status 2), or asked for help or the version (0).
    """
    options = _parser().parse_args(arguments)
    status: int = options.run(options)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="realmgw", description="Operates a Realm Gateway. The gateway itself is started by `twistd realmgw`."
    )
    parser.add_argument("--version", action="version", version=f"realmgw {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    check = commands.add_parser(
        "check",
        help="check the configuration and the subscriber files",
        description="Reads what the gateway would read, prints every problem, and changes nothing.",
    )
    check.add_argument("--config", type=Path, default=DEFAULT_CONFIG, metavar="FILE", help="main file [%(default)s]")
    check.set_defaults(run=lambda options: _check(options.config))
    return parser


def _check(path: Path) -> int:
    """Prints every problem of the main file and the subscriber files, and what was checked."""
    try:
        settings = config.load(path)
    except ConfigurationError as error:
        _print_lines(error.problems)
        print("The subscriber files were not checked: that needs the zones of the main file.")
        return _verdict(len(error.problems))
    directory, problems = subscribers.load(settings.subscribers, settings.zones)
    _print_lines(problems)
    _print_lines(_description(path, settings, directory))
    return _verdict(len(problems))


def _description(path: Path, settings: Settings, directory: Directory) -> tuple[str, ...]:
    """What was checked, in a few lines."""
    folders = ", ".join(map(str, settings.subscribers)) or "no folders"
    return (
        f"{path}: {', '.join(zone.name for zone in settings.zones)}; {_pool(settings.pools)}",
        f"{folders}: {len(directory.hosts)} hosts, {len(directory.services)} services",
    )


def _pool(pools: Pools) -> str:
    return f"{sum(prefix.network.num_addresses for prefix in pools.circular)} addresses in the circular pool"


def _print_lines(lines: Sequence[str]) -> None:
    for line in lines:
        print(line)


def _verdict(problems: int) -> int:
    """Says the result, and returns the exit status that goes with it."""
    print("No problems." if not problems else "1 problem." if problems == 1 else f"{problems} problems.")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
