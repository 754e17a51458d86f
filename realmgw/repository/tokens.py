"""Who may do what: bearer tokens (RFC 6750). Edge: files."""

from __future__ import annotations

import enum
import hmac
import re
from pathlib import Path

import attrs

from realmgw.config.disk import read
from realmgw.errors import PlatformError

MAX_TOKEN = 2**12  # octets
"""The longest file with a token."""

_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]{16,512}=*")


class Access(enum.IntEnum):
    """What somebody may do; each includes the ones before."""

    NOTHING = 0
    READ = 1
    WRITE = 2


@attrs.frozen
class Tokens:
    """The tokens that are known. Without any, everybody who can connect may do everything."""

    write: str | None = attrs.field(default=None, repr=False)
    """Who has it may read and write."""
    read: str | None = attrs.field(default=None, repr=False)
    """Who has it may read."""

    def access(self, authorization: str | None) -> Access:
        """What a request may do, by its Authorization field."""
        if self.write is None and self.read is None:
            return Access.WRITE
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer":
            return Access.NOTHING
        for known, access in ((self.write, Access.WRITE), (self.read, Access.READ)):
            if known is not None and hmac.compare_digest(known.encode(), token.strip().encode(errors="replace")):
                return access
        return Access.NOTHING


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
