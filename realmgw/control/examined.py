"""What was found by looking at what a start needs, and how it is looked at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePath
from typing import Any

import attrs

from realmgw.config.steps import Blocking
from realmgw.errors import PlatformError, RealmGatewayError


@attrs.define
class Examined:
    """What was found; a line each."""

    refused: list[str] = attrs.Factory(list)
    """Why the gateway can not start."""
    wrong: list[str] = attrs.Factory(list)
    """What does not stop a gateway, and is not as it should be."""
    unseen: list[str] = attrs.Factory(list)
    """What could not be looked at, and where or how it can."""


def answered(do: Callable[[Blocking], Any], where: PurePath | str, look: Callable[[], Any]) -> Any:
    """What a look at a file system finds.

    Raises:
        PlatformError: That does not answer.
    """
    try:
        return do(Blocking(str(where), look))
    except OSError as error:
        raise PlatformError(str(error.strerror)) from error


def attempt(lines: list[str], look: Callable[[], object], before: str = "") -> None:
    """Look, and note what is wrong.

    Args:
        lines: Get it.
        look: Raises it.
        before: What each line begins with.
    """
    try:
        look()
    except RealmGatewayError as error:
        lines += [f"{before}{line}" for line in str(error).splitlines()]
