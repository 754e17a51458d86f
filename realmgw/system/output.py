"""What becomes of a command when nobody takes what it says: a reader that has gone, a full disk, a closed stream.

Edge: the terminal.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from realmgw.errors import MACHINE_REFUSED

READER_GONE = 141
"""The exit status when whoever read our output has gone: what a shell says of a program that SIGPIPE has ended."""
INTERRUPTED = 130
"""The exit status after Ctrl-C, likewise."""


def guarded(command: Callable[[], int], program: str) -> int:
    """Do a command; its output is written when this returns.

    Args:
        command: Returns the exit status.
        program: What it is called.

    Returns:
        That; or `READER_GONE` or `INTERRUPTED`, in silence; or `MACHINE_REFUSED`, when the output can not be written,
        or a file that nobody has looked after refuses.
    """
    _open_missing()
    try:
        try:
            return command()
        finally:
            _flush()
    except BrokenPipeError:
        _close(sys.stdout)
        _close(sys.stderr)
        return READER_GONE
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:  # what files and sockets refuse has a name, or an error of its own: else it is the output
        if error.filename is not None:
            return complain(f"{error.filename}: {error.strerror}", MACHINE_REFUSED, program)
        _close(sys.stdout)
        with contextlib.suppress(OSError):
            return complain(f"the output can not be written: {error.strerror}", MACHINE_REFUSED, program)
        _close(sys.stderr)
        return MACHINE_REFUSED


def complain(text: str, status: int, program: str) -> int:
    """Say why a command ends with that status, which is returned."""
    sys.stderr.write(f"{program}: {text}\n")
    sys.stderr.flush()
    return status


def _open_missing() -> None:
    """Put /dev/null where whoever started us has closed a stream (`>&-`): Python has None there."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - until the process ends


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and not stream.closed:
            stream.flush()


def _close(stream: Any) -> None:
    """The interpreter would else try once more at its end, and complain."""
    if stream is not None:
        with contextlib.suppress(OSError):
            stream.close()
