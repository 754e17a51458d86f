"""What is run: the demonstration, the benchmarks, the tables of the documents.

A program whose testbed somebody else has ends with a sentence in the place of a traceback, and status 1.
"""

from __future__ import annotations

import sys
from types import TracebackType

from testbed.realm.topology import TakenError


def tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Says what nobody has caught, as `sys.excepthook`."""
    if isinstance(error, TakenError):
        print(error, file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


sys.excepthook = tell
