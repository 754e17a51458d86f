"""The `realmgw-synproxy` command: looks at a main file, at the machine, and into a running node.

`check` and `purge` work without a node; everything else asks the running one. What stands below each function's name
is its help.

Edge: the command line, the terminal, a unix socket.
"""

from __future__ import annotations

import http.client
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import attrs
import click

from realmgw import __version__
from realmgw.datapath.place import Place
from realmgw.errors import ConfigurationError, PlatformError, RealmGatewayError
from realmgw.synnode import control, shown
from realmgw.synnode.files import load
from realmgw.synnode.kernel import NodeKernel
from realmgw.synnode.settings import DEFAULT_CONFIG, TENANT, NodeSettings, Operators
from realmgw.system import commandline
from realmgw.system.disk import HeldError
from realmgw.system.output import guarded
from realmgw.system.port import attempt, refusal
from realmgw.system.tls import tls_options
from realmgw.system.unix_http import PREFIX, TIMEOUT, asking

PROGRAM = "realmgw-synproxy"


class ProblemsError(click.ClickException):
    """There are problems; each is a line. The command ends as the `realmgw` command does then."""

    exit_code = 1


class NoNodeError(click.ClickException):
    """No node answers."""

    exit_code = 3


class NoNodeThereError(NoNodeError):
    """Nobody listens where one would."""


class FailedError(click.ClickException):
    """The machine refused."""

    exit_code = 5


@attrs.define
class Usual:
    """What the options say that may stand anywhere."""

    config: Path = Path(DEFAULT_CONFIG)
    """The main file."""
    json: bool = False
    """Answers are printed as JSON."""


ANYWHERE = (
    commandline.anywhere(
        Usual, "--config", "-c", text=f"Main file [{DEFAULT_CONFIG}].", type=click.Path(path_type=Path), metavar="FILE"
    ),
    commandline.anywhere(Usual, "--json", text="Print the answer as JSON.", is_flag=True),
)
"""The options of every command."""


class Command(commandline.Command):
    """A command with them."""

    everywhere = ANYWHERE


class Group(Command, click.Group):
    """All commands."""

    command_class = Command


_told = click.make_pass_decorator(Usual, ensure=True)


@click.group(PROGRAM, cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name=PROGRAM)
def command_line() -> None:
    """Look into a SYN proxy node (twistd realmgw-synproxy)."""


@command_line.command("check")
@_told
def _check(told: Usual) -> None:
    """Check the main file, and whether this machine can do what it says."""
    settings = _load(told.config)
    kernel, running = NodeKernel(settings), _running(settings)
    here = _here(settings, is_free=running is None)
    doubts, problems = list(kernel.doubts()), [*_alone(settings, running), *here, *_machine(kernel)]
    _show(told, {"problems": problems, "doubts": doubts}, shown.check)
    if problems:
        sys.exit(ProblemsError.exit_code)


@command_line.command("status")
@_told
def _status(told: Usual) -> None:
    """Show how the node is, what stands in the kernel, and what was counted."""
    answer = _ask(told.config, "status")
    _show(told, answer, shown.status)
    if answer["state"] != "healthy":
        sys.exit(ProblemsError.exit_code)


@command_line.command("counters")
@_told
def _counters(told: Usual) -> None:
    """Show what was counted."""
    _show(told, _ask(told.config, "counters"), shown.counters)


@command_line.command("entries")
@_told
def _entries(told: Usual) -> None:
    """Show what gateways have said is to be answered."""
    _show(told, _ask(told.config, "entries"), shown.entries)


@command_line.command("purge")
@_told
def _purge(told: Usual) -> None:
    """Without a node: remove everything of it from the kernel. SYNs reach the gateways again."""
    settings = _load(told.config)
    with _in_place(settings):
        _show(told, {"done": _purged(NodeKernel(settings))}, lambda answer: answer["done"])


def _load(path: Path) -> NodeSettings:
    try:
        return load(path)
    except ConfigurationError as error:
        raise ProblemsError(str(error)) from None


@contextmanager
def _in_place(settings: NodeSettings) -> Iterator[None]:
    """In the place of a node: none runs, and none begins to.

    Raises:
        ProblemsError: One does, or may.
    """
    place = Place(settings.table, TENANT)
    try:
        place.take()
    except HeldError as error:
        raise ProblemsError(f"a node runs, and would put it back: {error}") from None
    except PlatformError:
        pass  # the kernel does not tell who has it: then the socket says whether one runs
    try:
        _refuse_running(settings)
        yield
    finally:
        place.release()


def _refuse_running(settings: NodeSettings) -> None:
    """Raises `ProblemsError` where somebody listens at the control socket, whether he answers or not."""
    try:
        _question(Path(settings.control.socket), "status")
    except NoNodeThereError:
        return
    except click.ClickException as error:
        raise ProblemsError(f"{error.message}: a node may run, and would put it back: stop it first") from None
    raise ProblemsError("a node runs, and would put it back: stop it first")


def _here(settings: NodeSettings, *, is_free: bool) -> Iterable[str]:
    """What a start refuses, besides what the kernel does.

    Args:
        settings: The main file's.
        is_free: Whether no node of it runs, which would have its ports.
    """
    yield from control.problems(settings.control)
    for path in settings.metrics.sockets:
        yield from control.problems(Operators(path, settings.metrics.group), "metrics.listen")
    try:
        if settings.tls is not None:
            tls_options(settings.tls.certificate_file, settings.tls.key_file)
    except PlatformError as error:
        yield str(error)
    if not is_free:
        return
    for endpoint in settings.listen:
        if number := attempt("TCP", endpoint):
            yield refusal("TCP", endpoint, number, "the control protocol")
    for endpoint in settings.metrics.endpoints:
        if number := attempt("TCP", endpoint):
            yield refusal("TCP", endpoint, number, "the metrics")


def _running(settings: NodeSettings) -> Mapping[str, Any] | None:
    """The status of the node that runs by a main file; empty, where it does not tell, and None, where none runs."""
    try:
        answer: Mapping[str, Any] = _question(Path(settings.control.socket), "status")
    except NoNodeThereError:
        return None
    except click.ClickException:
        return {}
    return answer


def _alone(settings: NodeSettings, running: Mapping[str, Any] | None) -> Iterator[str]:
    """What is said of another node that has the table; nothing where the kernel does not tell.

    Args:
        settings: The main file's.
        running: See `_running`.
    """
    if running is None or running.get("table", settings.table) != settings.table:
        with suppress(OSError):
            refused = Place(settings.table, TENANT).refusal()
            yield from () if refused is None else (refused,)


def _machine(kernel: NodeKernel) -> list[str]:
    try:
        return list(kernel.problems())
    except RealmGatewayError as error:
        return [str(error)]
    finally:
        kernel.close()


def _purged(kernel: NodeKernel) -> list[str]:
    try:
        return list(kernel.purge())
    except RealmGatewayError as error:
        raise FailedError(str(error)) from None
    finally:
        kernel.close()


def _show(told: Usual, answer: Any, lines: Callable[[Any], Iterable[str]]) -> None:
    click.echo(json.dumps(answer) if told.json else "\n".join(lines(answer)))


def _ask(main: Path, what: str) -> Any:
    return _question(Path(_load(main).control.socket), what)


def _question(path: Path, what: str) -> Any:
    with asking(path, TIMEOUT, NoNodeError, absent=NoNodeThereError, who="node", program=PROGRAM) as connection:
        connection.request("GET", f"{PREFIX}{what}")
        response = connection.getresponse()
        value = json.loads(response.read())
    if response.status != http.client.OK:
        raise FailedError(str(value["title"]))
    return value


def main() -> int:
    """Runs the command line of the process; returns the exit status, see `guarded`."""
    return guarded(lambda: _run(sys.argv[1:]), PROGRAM)


def _run(arguments: Sequence[str]) -> int:
    try:
        with command_line.make_context(PROGRAM, list(arguments)) as context:
            command_line.invoke(context)
    except click.exceptions.Exit as done:  # after help, or the version
        return done.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
