"""What the demo types: commands as a person types them in the checkout."""

from __future__ import annotations

import sys
from pathlib import Path

from testbed.programs.narration import Narration
from testbed.realm.gateway import Gateway
from testbed.realm.topology import CHECKOUT


def inside(namespace: str) -> list[str]:
    """The beginning of a command within a namespace.

    Args:
        namespace: Its name.
    """
    return ["ip", "netns", "exec", namespace]


def program(name: str) -> str:
    """A program of the running environment, as one types it in the checkout.

    Args:
        name: Of the program.
    """
    path = Path(sys.executable).with_name(name)
    return str(path.relative_to(CHECKOUT)) if path.is_relative_to(CHECKOUT) else str(path)


def python_client(*arguments: str) -> list[str]:
    """The command of a client that opens one flow.

    Args:
        arguments: Of `testbed.realm.client`.
    """
    return [*inside("public"), program("python"), "-m", "testbed.realm.client", *arguments]


def gateway_command(gateway: Gateway, *options: str) -> str:
    """The command that starts the gateway by hand.

    Args:
        gateway: Which.
        options: Its own.
    """
    twistd = [program("twistd"), *gateway.command[1:], *options]
    return " ".join([*inside("gwa"), "env", "PYTHONPATH=.", *twistd])


def operator(gateway: Gateway, *words: str) -> str:
    """A command of an operator, as one types it in a checkout that nothing is installed in.

    Args:
        gateway: Whose.
        words: What.
    """
    python = [program("python"), "-m", "realmgw.control.command.cli"]
    return " ".join(["env", "PYTHONPATH=.", *python, "--config", str(gateway.config), *words])


def dig(tell: Narration, namespace: str, server: str, name: str, kind: str = "A") -> str:
    """Asks a name server by dig; returns the answer section.

    Args:
        tell: Where it is shown.
        namespace: Where it is asked from.
        server: Who is asked.
        name: For which name.
        kind: The record type.
    """
    kinds = [] if kind == "A" else [kind]
    return tell.type(*inside(namespace), "dig", "+noall", "+answer", f"@{server}", name, *kinds).stdout.strip()
