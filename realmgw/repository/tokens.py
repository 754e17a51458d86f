"""Who may do what: bearer tokens (RFC 6750)."""

from __future__ import annotations

import enum
import hmac

import attrs


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
