"""Tokens: what somebody shows who may do something, and the files that they are in. Edge: files."""

from __future__ import annotations

import re
from pathlib import Path

from realmgw.errors import PlatformError
from realmgw.system.disk import is_public, read

MAX_TOKEN = 2**12  # octets
"""The longest file with a token."""

_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]{16,512}=*")


def read_token(path: Path) -> str:
    """The token in a file: its only line.

    Raises:
        PlatformError: There is none, and what to do.
    """
    try:
        text = read(path, MAX_TOKEN).decode().strip()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is no text"  # an error of decoding quotes what it can not read
        raise PlatformError(f"{path} can not be read as a token: {why}") from error
    if _TOKEN.fullmatch(text) is None:
        raise PlatformError(
            f"{path} holds no token: write one line of at least 16 letters, digits, or any of ._~+/-, with"
            " `openssl rand -hex 24` for example"
        )
    return text


def read_own_token(path: Path) -> str:
    """The token in a file that not everybody on this machine may read.

    Raises:
        PlatformError: There is none, or everybody may; and what to do.
    """
    if is_public(path):
        raise PlatformError(f"everybody on this machine may read {path}: chmod o= {path}")
    return read_token(path)
