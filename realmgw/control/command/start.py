"""Where the program `realmgw` begins: Ctrl-C while its modules are loaded is the end of it, too, and no traceback.

Edge: signals.
"""

from __future__ import annotations

import signal


def main() -> int:
    """Loads the command, and runs the process's command line.

    Returns:
        The exit status. Before the command is loaded, Ctrl-C ends the process as the signal does by default.
    """
    minded = signal.signal(signal.SIGINT, signal.SIG_DFL)
    from realmgw.control.command.cli import main as command  # noqa: PLC0415 - this is what takes its time

    signal.signal(signal.SIGINT, minded)
    return command()
