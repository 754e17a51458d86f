"""The `realmgw` command: what it can be told, and what it does with that. `ExitStatus` says how it ends.

Some commands work on the files; all others ask the running gateway. Edge: the command line, the terminal.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from realmgw import __version__, config
from realmgw.config.external import Repository
from realmgw.config.settings import Control
from realmgw.control.command import completion, shown
from realmgw.control.command.arguments import DEFAULT_CONFIG, Parser, add_usual
from realmgw.control.command.client import ask
from realmgw.control.command.confirming import confirm, refuse_unseen
from realmgw.control.command.output import complain, guarded
from realmgw.control.commands import CommandError, ExitStatus
from realmgw.errors import ConfigurationError, RealmGatewayError

Options = argparse.Namespace
Answer = Any
"""What JSON has."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command line.

    Args:
        arguments: Without the program's name; by default those of the process.

    Returns:
        The exit status, see `ExitStatus` and `guarded`.

    Raises:
        SystemExit: The command line was wrong (status 2), or asked for help or the version (0).
    """
    return guarded(lambda: _run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    options = parser().parse_args(arguments)
    try:
        status: int = options.run(options)
    except CommandError as error:
        return complain(str(error), error.status)
    except ConfigurationError as error:
        return complain(str(error), ExitStatus.PROBLEMS)
    except RealmGatewayError as error:
        return complain(str(error), ExitStatus.FAILED)
    return status


def parser() -> argparse.ArgumentParser:
    """Everything that the command line can say; completion and the tests of the manual are made from it."""
    top = Parser(
        prog="realmgw", description="Operates a Realm Gateway. The gateway itself is started by `twistd realmgw`."
    )
    top.add_argument("--version", action="version", version=f"realmgw {__version__}")
    add_usual(top, top=True)
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add(commands, "check", "check the configuration and the subscriber files", _check)
    _add_migrate(commands)
    _add_changes(commands)
    _add_views(commands)
    _add_subscribers(commands)
    _add_reputation(commands)
    _add_explain(commands)
    script = commands.add_parser(
        "completion", help="print a completion script", description="Prints a script for a shell."
    )
    script.add_argument("shell", choices=sorted(completion.SHELLS), help="the shell")
    script.set_defaults(run=lambda options: _print_lines([completion.script(parser(), options.shell)]), parser=script)
    return top


def _add_migrate(commands: Any) -> None:
    text = "translate a folder of subscribers and policies of an existing deployment"
    migrate = commands.add_parser("migrate", help=text, description=_sentence(text))
    migrate.add_argument("folder", type=Path, help="the folder")
    migrate.add_argument(
        "--to", type=Path, default=Path(), metavar="FOLDER", help="the main file's folder [%(default)s]"
    )
    migrate.set_defaults(run=_migrate, parser=migrate)


def _add_changes(commands: Any) -> None:
    plan = _add(commands, "plan", "show what a reload would change", _plan)
    plan.add_argument("--exit-code", action="store_true", help=f"end with {ExitStatus.DIFFERENT.value} if anything is")
    reload = _add(commands, "reload", "make true what is written in the files", _reload)
    reload.add_argument("--accept-loss", action="store_true", help="hosts may go, however many they are")
    purge = _add(commands, "purge", "lend nothing, and remove all of ours from the kernel; all flows end", _purge)
    purge.add_argument("--yes", action="store_true", help="do not ask for the gateway's name")
    purge.add_argument("--offline", action="store_true", help="without a gateway: after a crash, or a failed start")
    purge.add_argument("--table", metavar="NAME", help="with --offline: of this table, whatever the main file says")


def _add_views(commands: Any) -> None:
    text = "show how the gateway is, what runs, and what was counted"
    status = _add(commands, "status", text, _status)
    status.add_argument("--all", action="store_true", help="counters that are 0, too, and all problems")
    _add(commands, "health", "show how the gateway is, and what is wrong", _health)
    _add(commands, "pool", "show the circular pool by prefix and state", _asker("pool", shown.pool))
    reservations = _add(
        commands, "reservations", "show what stands at the addresses now", _asker("reservations", shown.reservations)
    )
    reservations.add_argument("--limit", default="1000", metavar="N", help="at most so many [%(default)s]")
    views = _group(commands, "show", "show the configuration")
    show = _add(views, "config", "show the configuration as it is written, in one piece", _show_config)
    which = show.add_mutually_exclusive_group()
    which.add_argument("--running", action="store_true", help="the one that is in force instead")
    which.add_argument("--diff", action="store_true", help="what is different between the two")
    show.add_argument("--exit-code", action="store_true", help=f"end with {ExitStatus.DIFFERENT.value} if anything is")


def _add_subscribers(commands: Any) -> None:
    group = _group(commands, "subscribers", "show and change subscribers")
    listing = _add(group, "list", "list subscribers", _asker("subscribers/list", shown.subscribers))
    listing.add_argument("--match", default="", metavar="TEXT", help="only names that contain this")
    listing.add_argument("--limit", default="1000", metavar="N", help="at most so many [%(default)s]")
    show = _add(group, "show", "show a subscriber", _asker("subscribers/show", shown.subscriber))
    show.add_argument("name", help="its name, or that of one of its services")
    add = _add(group, "add", "add a subscriber, in a file of its own", _add_subscriber)
    add.add_argument("name", help="its name")
    add.add_argument("--address", required=True, help="its private address")
    add.add_argument("--max-claims", type=int, metavar="N", help="how many claims may be pending on it")
    add.add_argument(
        "--service", action="append", default=[], metavar="NAME[:PROTOCOL[:PORT]]",
        help="a service; repeat it for more (by default its own name, for everything)",
    )  # fmt: skip
    remove = _add(group, "remove", "remove a subscriber that has a file of its own", _remove_subscriber)
    remove.add_argument("name", help="its name")
    generate = _add(group, "generate", "make many subscribers from a template", _generate)
    generate.add_argument("template", type=Path, help="a subscriber file with placeholders")
    generate.add_argument("--count", type=int, required=True, metavar="N", help="how many")
    generate.add_argument("--start", type=int, default=1, metavar="N", help="the first one's number [%(default)s]")
    where = generate.add_mutually_exclusive_group()
    where.add_argument("--output", type=Path, metavar="FOLDER", help="where to [the last folder of subscribers]")
    where.add_argument(
        "--repository", nargs="?", const="", metavar="URL", help="to a policy repository instead [the main file's]"
    )
    generate.add_argument(
        "--token-file", type=Path, metavar="FILE", help="with the repository's token [the main file's]"
    )
    generate.add_argument("--ca-file", type=Path, metavar="FILE", help="who signs its certificate [the main file's]")
    for each in (add, remove, generate):
        each.add_argument("--no-reload", action="store_true", help="do not have the running gateway reload")


def _add_reputation(commands: Any) -> None:
    group = _group(commands, "reputation", "show and change what is held of those who ask")
    listing = _add(group, "list", "list resolver groups, the worst first", _asker("reputation/list", shown.reputations))
    listing.add_argument("--match", default="", metavar="TEXT", help="only those with an address that contains this")
    listing.add_argument("--limit", default="1000", metavar="N", help="at most so many [%(default)s]")
    listing.add_argument("--clients", action="store_true", help="clients that were named, instead of groups")
    show = _add(group, "show", "show a resolver group or a client", _asker("reputation/show", shown.reputation))
    change = _add(group, "set", "give somebody a reputation", _asker("reputation/set", shown.reputation_now))
    forget = _add(group, "forget", "make a stranger of somebody", _asker("reputation/forget", shown.reputation_before))
    for each in (show, change, forget):
        each.add_argument("who", help="a resolver's address, or a client as `reputation list --clients` has it")
    change.add_argument("reputation", help="from 0 to 1; it changes by what comes")


def _add_explain(commands: Any) -> None:
    group = _group(commands, "explain", "tell what would be decided, and why")
    name = _add(group, "name", "what a question would be answered", _asker("explain/name", shown.explanation))
    name.add_argument("name", help="the name that is asked for")
    name.add_argument("--resolver", required=True, metavar="ADDRESS", help="the address that asks")
    name.add_argument("--tcp", action="store_true", help="it asks by TCP")
    name.add_argument("--cookie", action="store_true", help="it shows a valid server cookie")
    name.add_argument("--client", metavar="NETWORK", help="the client that it names (EDNS Client Subnet)")
    packet = _add(group, "packet", "what would become of a first packet", _asker("explain/packet", shown.explanation))
    packet.add_argument("source", help="its source address")
    packet.add_argument("destination", help="its destination address, of the pool")
    packet.add_argument("protocol", help="tcp, udp, icmp, sctp, or a number")
    packet.add_argument("port", nargs="?", default="0", help="its destination port [%(default)s: none]")
    packet.add_argument("--source-port", default="0", metavar="PORT", help="its source port [%(default)s]")


def _group(commands: Any, name: str, text: str) -> Any:
    group = commands.add_parser(name, help=text, description=_sentence(text))
    add_usual(group)
    return group.add_subparsers(title="commands", metavar="COMMAND", required=True)


def _add(commands: Any, name: str, text: str, run: Callable[[Options], int]) -> argparse.ArgumentParser:
    """A command, with the options that all of them have."""
    command: argparse.ArgumentParser = commands.add_parser(name, help=text, description=_sentence(text))
    add_usual(command)
    command.set_defaults(run=run, parser=command)
    return command


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


# What the commands do


_NO_PARAMETERS = {"config", "socket", "json", "run", "parser"}


def _ask(options: Options, command: str, **parameters: str) -> Answer:
    _refuse_unreadable(options)
    if options.socket is not None:
        return ask(options.socket, command, parameters, waiting=_waiting)
    return ask(_socket(options.config), command, parameters, main=options.config, waiting=_waiting)


def _waiting(seconds: float) -> None:
    """Says that the gateway works, if somebody looks."""
    if sys.stderr.isatty():
        print(f"the gateway is at it for {seconds:.0f} s now", file=sys.stderr)


def _refuse_unreadable(options: Options) -> None:
    if options.config is not DEFAULT_CONFIG:
        config.refuse_unreadable(options.config)


def _socket(main_file: Path) -> Path:
    """Where the gateway of a main file listens; with a broken one, where it does by its last good one, or by default.

    A gateway that is found there, and has another main file, refuses.
    """
    try:
        return Path(config.load_or_last_good(main_file).settings.control.socket)
    except ConfigurationError:
        return Path(Control().socket)


def _asker(command: str, show: Callable[[Answer], Iterable[str]]) -> Callable[[Options], int]:
    """A command that asks the gateway, and shows what it says."""

    def run(options: Options) -> int:
        told = {key: value for key, value in vars(options).items() if key not in _NO_PARAMETERS}
        parameters = {key: str(value) for key, value in told.items() if value is not None and value is not False}
        return _show(options, _ask(options, command, **parameters), show)

    return run


def _show(options: Options, answer: Answer, show: Callable[[Answer], Iterable[str]]) -> int:
    return _print_lines([json.dumps(answer, indent=2)] if options.json else show(answer))


def _print_lines(lines: Iterable[str]) -> int:
    for line in lines:
        print(line)
    return ExitStatus.OK


def _status(options: Options) -> int:
    answer, width = _ask(options, "status"), shutil.get_terminal_size((100, 24)).columns
    _show(options, answer, lambda answer: shown.status(answer, width=width, every=options.all))
    return ExitStatus.OK if answer["state"] == "healthy" else ExitStatus.PROBLEMS


def _health(options: Options) -> int:
    answer = _ask(options, "health")
    _show(options, answer, shown.health)
    return ExitStatus.OK if answer["state"] == "healthy" else ExitStatus.PROBLEMS


def _check(options: Options) -> int:
    from realmgw.control.command import local  # noqa: PLC0415 - it takes half a second, for which questions need not wait

    found = local.check(options.config)
    _show(options, found.value(), lambda _: found.lines())
    return ExitStatus.PROBLEMS if found.problems else ExitStatus.OK


def _migrate(options: Options) -> int:
    from realmgw.control.command import local  # noqa: PLC0415 - see `_check`

    notes, files = local.migrate(options.folder, options.to)
    return _print_lines([*notes, *(f"written: {path}" for path in files)])


def _plan(options: Options) -> int:
    answer = _ask(options, "plan")
    _show(options, answer, shown.plan)
    if answer["problems"] or answer["restart"]:
        return ExitStatus.PROBLEMS
    return ExitStatus.DIFFERENT if options.exit_code and answer["different"] else ExitStatus.OK


def _reload(options: Options) -> int:
    answer = _ask(options, "reload", **({"accept_loss": "yes"} if options.accept_loss else {}))
    _show(options, answer, shown.reload)
    if answer["status"] == "failed":
        return ExitStatus.FAILED
    return ExitStatus.PROBLEMS if answer["problems"] else ExitStatus.OK


def _purge(options: Options) -> int:
    _refuse_unreadable(options)
    if options.table and not options.offline:
        raise CommandError(ExitStatus.USAGE, "--table is of no use without --offline")
    refuse_unseen(confirmed=options.yes)
    if options.offline:
        from realmgw.control.command import offline  # noqa: PLC0415 - see `_check`

        confirm(offline.subject(options.config, options.table), confirmed=options.yes)
        return _show(options, {"done": offline.purge(options.config, options.table)}, shown.purge)
    name = str(_ask(options, "status")["name"]).removesuffix(".")
    confirm(name, confirmed=options.yes)
    return _show(options, _ask(options, "purge", name=name), shown.purge)


def _show_config(options: Options) -> int:
    written = config.load(options.config) if not options.running else None
    running = str(_ask(options, "config")["config"]) if options.running or options.diff else ""
    if options.diff and written is not None:
        lines = shown.difference(running, config.dump(written))
        _show(options, {"different": bool(lines), "lines": lines}, lambda answer: answer["lines"])
        return ExitStatus.DIFFERENT if options.exit_code and lines else ExitStatus.OK
    text = running if written is None else config.dump(written)
    return _show(options, {"config": text}, lambda answer: [answer["config"].rstrip("\n")])


def _add_subscriber(options: Options) -> int:
    from realmgw.control.command import local  # noqa: PLC0415 - see `_check`

    wanted = local.Wanted(options.name, options.address, tuple(options.service), options.max_claims)
    return _written(options, [local.add(config.load(options.config), wanted)], "written")


def _remove_subscriber(options: Options) -> int:
    from realmgw.control.command import local  # noqa: PLC0415 - see `_check`

    return _written(options, [local.remove(config.load(options.config), options.name)], "removed")


def _generate(options: Options) -> int:
    from realmgw.control.command import local  # noqa: PLC0415 - see `_check`

    numbers = range(options.start, options.start + options.count)
    if options.repository is not None:
        return _send(options, numbers)
    if options.token_file or options.ca_file:
        raise CommandError(ExitStatus.USAGE, "--token-file and --ca-file are of no use without --repository")
    settings = None if options.output else config.load(options.config)
    folder = options.output or local.own_folder(settings)
    with _bar() as bar:
        files = local.generate(options.template, numbers, folder, lambda done: bar(done, options.count))
    return _written(options, files, "written")


def _send(options: Options, numbers: range) -> int:
    """Has the repository take them; gateways hear of it there."""
    from realmgw.control.command import local  # noqa: PLC0415 - see `_check`

    is_written = options.config is not DEFAULT_CONFIG or options.config.exists() or not options.repository
    known = config.load(options.config).repository if is_written else Repository()
    repository = local.repository(known, options.repository, options.token_file, options.ca_file)
    with _bar() as bar:
        answer = local.send(options.template, numbers, repository, bar)
    return _show(options, answer, shown.sent)


@contextlib.contextmanager
def _bar() -> Iterator[Callable[[int, int], None]]:
    """A progress bar, if somebody looks."""
    is_seen = sys.stderr.isatty()

    def progress(done: int, count: int) -> None:
        if is_seen:
            print(f"\r{shown.bar(done, count)}", end="", file=sys.stderr, flush=True)

    try:
        yield progress
    finally:
        if is_seen:
            print(file=sys.stderr)


def _written(options: Options, files: Sequence[Path], what: str) -> int:
    """Says which files were changed, and has the gateway reload them if it runs."""
    answer: dict[str, Answer] = {what: list(map(str, files)), "reload": None}
    if not options.no_reload:
        try:
            answer["reload"] = _ask(options, "reload")
        except CommandError as error:
            if error.status is not ExitStatus.NO_GATEWAY:
                raise
    _show(options, answer, lambda answer: shown.files(answer, what))
    return ExitStatus.PROBLEMS if answer["reload"] and answer["reload"]["problems"] else ExitStatus.OK


if __name__ == "__main__":
    sys.exit(main())
