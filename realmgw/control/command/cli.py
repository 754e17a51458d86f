"""The `realmgw` command: what it can be told, and what it does with that. `ExitStatus` says how it ends.

`check`, `subscribers add`, `remove` and `generate` work on the files; everything else asks the running gateway. What
stands below each function's name is its help, and its place in the manual.

Edge: the command line, the terminal.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from realmgw.control.command import alerting, decided, passing, past, ruled, shown
from realmgw.control.command.arguments import FILE, Usual, told
from realmgw.control.command.asking import (
    GROUPS,
    PROGRAM,
    Answer,
    ask,
    asks,
    command_line,
    follows,
    print_lines,
    refuse_unreadable,
    show,
    spoken,
    tell,
    watched,
)  # fmt: skip
from realmgw.control.command.capture import capture
from realmgw.control.command.confirming import confirm, refuse_unseen
from realmgw.control.command.init import init
from realmgw.control.command.live import repeat
from realmgw.control.command.progress import progress_bar
from realmgw.control.command.proxies import proxies, web_proxy
from realmgw.control.command.top import top
from realmgw.control.commands import COMMANDS, CommandError, ExitStatus, NobodyThereError
from realmgw.errors import RealmGatewayError
from realmgw.system import commandline
from realmgw.system.output import complain, guarded

__all__ = ("command_line", "main")

COMPLETING = "_REALMGW_COMPLETE"
"""In the environment: a shell asks what may follow."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command line.

    Args:
        arguments: Without the program's name; by default those of the process.

    Returns:
        The exit status, see `ExitStatus` and `guarded`.
    """
    return guarded(lambda: _run(sys.argv[1:] if arguments is None else arguments), PROGRAM)


def _run(arguments: Sequence[str]) -> int:
    if instruction := os.environ.get(COMPLETING):
        from click.shell_completion import shell_complete  # noqa: PLC0415 - for shells only

        return shell_complete(command_line, {"obj": Usual()}, PROGRAM, COMPLETING, instruction)
    try:
        with command_line.make_context(PROGRAM, list(arguments), obj=Usual()) as context:
            return int(command_line.invoke(context) or ExitStatus.OK)
    except click.exceptions.Exit as done:  # after help, or the version
        return done.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except RealmGatewayError as error:
        return complain(str(error), ExitStatus.of(error), PROGRAM)


IPV6_MODES = ("pool", "pinhole", "off")
"""The values of `Ipv6Mode`, which takes its time to be imported."""

# The commands, in the order of the manual

_exit_code = click.option(
    "--exit-code", is_flag=True, help=f"End with {ExitStatus.DIFFERENT.value} if anything is different."
)
_no_reload = click.option("--no-reload", is_flag=True, help="Do not have the running gateway reload.")


def _healthy(answer: Answer) -> ExitStatus:
    return ExitStatus.OK if answer["state"] == "healthy" else ExitStatus.PROBLEMS


def _reloaded(answer: Answer) -> ExitStatus:
    if answer["status"] == "failed":
        return ExitStatus.FAILED
    return ExitStatus.PROBLEMS if answer["problems"] else ExitStatus.OK


command_line.add_command(init)


@command_line.command("check")
@click.pass_obj
def _check(usual: Usual) -> ExitStatus:
    """Check the configuration and the subscriber files."""
    from realmgw.control.command import local  # noqa: PLC0415 - it takes half a second, for which questions need not wait

    found = local.check(usual.main_file)
    show(usual, found.value(), lambda _: found.lines())
    return ExitStatus.PROBLEMS if found.problems else ExitStatus.OK


@command_line.command("doctor")
@click.pass_obj
def _doctor(usual: Usual) -> ExitStatus:
    """Look at the machine: what is missing or wrong, and the command that mends it."""
    from realmgw.control import findings  # noqa: PLC0415 - see `_check`
    from realmgw.control.command import doctor  # noqa: PLC0415 - see `_check`

    found = doctor.diagnose(usual.main_file)
    show(usual, {"findings": [each.value() for each in found]}, lambda _: findings.lines(found))
    return ExitStatus.PROBLEMS if any(each.state in findings.BAD for each in found) else ExitStatus.OK


@command_line.command("migrate", cls=commandline.Command)
@click.argument("folder", type=FILE, help="The folder of that deployment.")
@click.option("--to", type=FILE, default=".", metavar="FOLDER", show_default=True, help="The main file's folder.")
def _migrate(folder: Path, to: Path) -> None:
    """Translate a folder of subscribers and policies of an existing deployment."""
    from realmgw.control.command import local  # noqa: PLC0415 - see `_check`

    notes, files = local.migrate(folder, to)
    print_lines([*notes, *(f"written: {path}" for path in files)])


@command_line.command("plan", help=COMMANDS["plan"].text)
@_exit_code
@click.pass_obj
def _plan(usual: Usual, exit_code: bool) -> ExitStatus:
    answer = ask(usual, "plan")
    show(usual, answer, shown.plan)
    if answer["problems"] or answer["restart"]:
        return ExitStatus.PROBLEMS
    return ExitStatus.DIFFERENT if exit_code and answer["different"] else ExitStatus.OK


asks("reload", shown.reload, _reloaded)


@command_line.command("purge", help=COMMANDS["purge"].text)
@click.option("--yes", is_flag=True, help="Do not ask for the gateway's name.")
@click.option("--offline", is_flag=True, help="Do it without a gateway: after a crash, or a failed start.")
@click.option("--table", metavar="NAME", help="With --offline: remove this table, whatever the main file says.")
@click.pass_obj
def _purge(usual: Usual, yes: bool, offline: bool, table: str | None) -> None:
    refuse_unreadable(usual)
    if table and not offline:
        raise CommandError(ExitStatus.USAGE, "--table is of no use without --offline")
    refuse_unseen("purge", confirmed=yes)
    if offline:
        from realmgw.control.command import offline as alone  # noqa: PLC0415 - see `_check`

        _confirm_purge(alone.subject(usual.main_file, table), yes)
        return show(usual, {"done": alone.purge(usual.main_file, table)}, shown.purge)
    name = str(ask(usual, "status")["name"]).removesuffix(".")
    _confirm_purge(name, yes)
    return show(usual, ask(usual, "purge", name=name), shown.purge)


def _confirm_purge(name: str, confirmed: bool) -> None:
    question = f"All flows of {name} will end. Type its name to purge it"
    confirm("purge", question, name, confirmed=confirmed)


@command_line.command("status", help=COMMANDS["status"].text)
@click.option("--all", "every", is_flag=True, help="Show counters that are 0, too, and all problems.")
@watched
@click.pass_obj
def _status(usual: Usual, every: bool, watch: float | None) -> ExitStatus:
    def lines(answer: Answer) -> Iterable[str]:
        return shown.status(answer, width=shutil.get_terminal_size((100, 24)).columns, every=every)

    if watch is not None:
        repeat(lambda: ask(usual, "status"), lines, watch, as_json=usual.json)
    answer = ask(usual, "status")
    show(usual, answer, lines)
    return _healthy(answer)


command_line.add_command(top)
asks("health", shown.health, _healthy)
asks("pool", shown.pool)
asks("picture", shown.drawn)
asks("reservations", shown.reservations)


@GROUPS["show"].command("config")
@click.option("--running", is_flag=True, help="The one that is in force, not the one in the files.")
@click.option("--diff", is_flag=True, help="What is different between the two.")
@_exit_code
@click.pass_obj
def _show_config(usual: Usual, running: bool, diff: bool, exit_code: bool) -> ExitStatus:
    """Show the configuration as it is written, in one piece."""
    from realmgw import config  # noqa: PLC0415 - see `_check`

    _refuse_both("--running", running, "--diff", diff)
    written = "" if running else config.dump(config.load(usual.main_file))
    in_force = str(ask(usual, "config")["config"]) if running or diff else ""
    if not diff:
        show(usual, {"config": in_force or written}, lambda answer: [answer["config"].rstrip("\n")])
        return ExitStatus.OK
    lines = shown.difference(in_force, written)
    show(usual, {"different": bool(lines), "lines": lines}, lambda answer: answer["lines"])
    return ExitStatus.DIFFERENT if exit_code and lines else ExitStatus.OK


def _refuse_both(first: str, is_first: bool, second: str, is_second: bool) -> None:
    if is_first and is_second:
        raise CommandError(ExitStatus.USAGE, f"{first} and {second} exclude each other: write one of them")


asks("subscribers/list", shown.subscribers)
asks("subscribers/show", shown.subscriber)


@GROUPS["subscribers"].command("add")
@click.argument("name", help="Its name.")
@click.option(
    "--address",
    "addresses",
    required=True,
    multiple=True,
    metavar="ADDRESS",
    help="Its address, of IPv4 or IPv6; repeat it for one of each.",
)
@click.option("--ipv6", type=click.Choice(IPV6_MODES), help="How its names are answered with AAAA.")
@click.option("--max-claims", type=int, metavar="N", help="How many claims may be pending on it.")
@click.option(
    "--service", "services", multiple=True, metavar="NAME[:PROTOCOL[:PORT]]",
    help="A service; repeat it for more (by default its own name, for everything).",
)  # fmt: skip
@_no_reload
@click.pass_obj
def _add(usual: Usual, /, no_reload: bool, **wanted: Any) -> ExitStatus:
    """Add a subscriber, in a file of its own."""
    from realmgw.control.command import local  # noqa: PLC0415 - see `_check`

    return _written(usual, [local.add(usual.main_file, **wanted)], "written", no_reload)


@GROUPS["subscribers"].command("remove")
@click.argument("name", help="Its name.")
@_no_reload
@click.pass_obj
def _remove(usual: Usual, name: str, no_reload: bool) -> ExitStatus:
    """Remove a subscriber that has a file of its own."""
    from realmgw.control.command import local  # noqa: PLC0415 - see `_check`

    return _written(usual, [local.remove(usual.main_file, name)], "removed", no_reload)


@GROUPS["subscribers"].command("generate")
@click.argument("template", type=FILE, help="A subscriber file with placeholders.")
@click.option("--count", type=int, required=True, metavar="N", help="How many.")
@click.option("--start", type=int, default=1, metavar="N", show_default=True, help="The first one's number.")
@click.option("--output", type=FILE, metavar="FOLDER", help="Where to write them [the last folder of subscribers].")
@click.option(
    "--repository", is_flag=False, flag_value="", metavar="[URL]",
    help="Send them to a policy repository instead [the main file's].",
)  # fmt: skip
@click.option("--token-file", type=FILE, metavar="FILE", help="A file with the repository's token [the main file's].")
@click.option(
    "--ca-file", type=FILE, metavar="FILE", help="Certificates that its own has to be signed by [the main file's]."
)
@_no_reload
@click.pass_obj
def _generate(usual: Usual, /, template: Path, no_reload: bool, **said: Any) -> ExitStatus:
    """Make many subscribers from a template."""
    from realmgw.control.command import local  # noqa: PLC0415 - see `_check`

    refuse_unreadable(usual)
    numbers, output = range(said["start"], said["start"] + said["count"]), said["output"]
    _refuse_both("--output", bool(output), "--repository", said["repository"] is not None)
    if said["repository"] is not None:
        return _send(usual, template, numbers, said)
    if said["token_file"] or said["ca_file"]:
        raise CommandError(ExitStatus.USAGE, "--token-file and --ca-file are of no use without --repository")
    with progress_bar() as progress:
        files = local.generate(usual.main_file, template, numbers, output, progress)
    return _written(usual, files, "written", no_reload)


def _send(usual: Usual, template: Path, numbers: range, said: Answer) -> ExitStatus:
    """Has the repository take them; gateways hear of it there."""
    from realmgw.control.command import local  # noqa: PLC0415 - see `_check`

    is_written = usual.config is not None or usual.main_file.exists() or not said["repository"]
    main_file = usual.main_file if is_written else None
    repository = local.repository(main_file, said["repository"], said["token_file"], said["ca_file"])
    with progress_bar() as progress:
        answer = local.send(template, numbers, repository, progress)
    show(usual, answer, shown.sent)
    return ExitStatus.OK


def _written(usual: Usual, files: Sequence[Path], what: str, no_reload: bool) -> ExitStatus:
    """Has the gateway reload if it runs, and says which files were changed, also where it does not answer."""
    answer: dict[str, Answer] = {what: list(map(str, files)), "reload": None}
    try:
        if not no_reload:
            answer["reload"] = ask(usual, "reload")
    except NobodyThereError:
        pass  # it reads them when it starts
    finally:
        show(usual, answer, lambda answer: shown.files(answer, what))
    return ExitStatus.OK if answer["reload"] is None else _reloaded(answer["reload"])


asks("reputation/list", shown.reputations)
asks("reputation/show", shown.reputation)
asks("reputation/set", shown.reputation_now)
asks("reputation/forget", shown.reputation_before)
asks("flows/list", shown.flows)
asks("flows/history", past.flows)
asks("flows/accounts", past.accounts)
asks("rules", ruled.rules)
follows("trace", passing.trace)
command_line.add_command(capture)
follows("log", decided.line)


@GROUPS["flows"].command("watch", params=told("flows/watch"), help=COMMANDS["flows/watch"].text)
@click.option("--eve", "is_eve", is_flag=True, help="Print records of Suricata's EVE, for programs that join them.")
@click.pass_obj
def _watch(usual: Usual, /, is_eve: bool, **said: str | None) -> None:
    from realmgw.control.command import eve  # noqa: PLC0415 - see `_check`

    tell(usual, "flows/watch", said, eve.lines if is_eve else passing.watch, always=is_eve)


@GROUPS["flows"].command("kill", params=told("flows/kill"), help=COMMANDS["flows/kill"].text)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def _kill(usual: Usual, /, yes: bool, **said: str | None) -> None:
    refuse_unseen("flows kill", confirmed=yes)
    wanted = spoken(said)
    if not yes and wanted:
        total = ask(usual, "flows/list", limit="0", **wanted)["total"]
        which = ", ".join(f"{key} {value}" for key, value in wanted.items())
        confirm("flows kill", f"{total} flows of {which} will end. Type yes to end them", "yes", confirmed=yes)
    show(usual, ask(usual, "flows/kill", **wanted), shown.killed)


asks("synproxy/show", proxies)
asks("webproxy/show", web_proxy)
asks("alerts", alerting.alerts)
asks("leases/list", shown.leases)
asks("leases/add", shown.registered)


@GROUPS["leases"].command("remove", params=told("leases/remove"), help=COMMANDS["leases/remove"].text)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def _remove_lease(usual: Usual, yes: bool, name: str, address: str | None) -> None:
    refuse_unseen("leases remove", confirmed=yes)
    what = f"{name} is no host any more" if address is None else f"{name} is not at {address} any more"
    confirm("leases remove", f"{what}. Type yes to remove it", "yes", confirmed=yes)
    which = {} if address is None else {"address": address}
    show(usual, ask(usual, "leases/remove", name=name, **which), shown.registered_before)


asks("explain/name", shown.explanation)
asks("explain/packet", shown.explanation)
asks("explain/flow", decided.flow)


@command_line.command("completion", cls=commandline.Command)
@click.argument("shell", type=click.Choice(("bash", "fish", "zsh")), help="The shell.")
def _completion(shell: str) -> None:
    """Print a completion script for a shell."""
    from click.shell_completion import get_completion_class  # noqa: PLC0415 - for this only

    made = get_completion_class(shell)
    assert made is not None
    click.echo(made(command_line, {}, PROGRAM, COMPLETING).source())


for _name, _group in GROUPS.items():
    if _name:
        command_line.add_command(_group)

if __name__ == "__main__":
    sys.exit(main())
