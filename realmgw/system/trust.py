"""Whose certificates are believed, where we are the client. Edge: files, TLS."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

from OpenSSL import SSL, crypto
from twisted.internet.ssl import Certificate, platformTrust, trustRootFromCertificates
from twisted.web.client import BrowserLikePolicyForHTTPS

from realmgw.errors import PlatformError
from realmgw.system.disk import read, stamp

MAX_CERTIFICATES = 2**24  # octets
"""The longest file with certificates."""
_BEGIN = b"-----BEGIN CERTIFICATE-----"


def trust(path: PurePath | None) -> Any:
    """Whose certificates are believed.

    Raises:
        PlatformError: The file can not be used.
    """
    if path is None:
        return platformTrust()  # type: ignore[no-untyped-call]  # Twisted
    try:
        found = [Certificate.loadPEM(_BEGIN + text) for text in read(path, MAX_CERTIFICATES).split(_BEGIN)[1:]]
    except (OSError, SSL.Error, ValueError, crypto.Error) as error:
        why = getattr(error, "strerror", error)
        raise PlatformError(f"{path} can not be read as certificates: {why}") from error
    if not found:
        raise PlatformError(f"{path} has no certificate: write those (PEM) that others must be signed by")
    return trustRootFromCertificates(found)  # type: ignore[no-untyped-call]  # Twisted


class Trusted:
    """Whose certificates are believed, by a file that may be exchanged; None: the system's.

    Args:
        path: Its path.
    """

    def __init__(self, path: PurePath | None) -> None:
        self._path = path
        self._seen: object = None
        self._policy: Any = None

    def look(self) -> Any:
        """The policy for connections that begin: the same one as long as the file is. It blocks. Raises as `trust`."""
        seen = None if self._path is None else stamp(self._path)
        if self._policy is None or seen != self._seen:
            self._policy = BrowserLikePolicyForHTTPS(trust(self._path))  # type: ignore[no-untyped-call]  # Twisted
            self._seen = seen
        return self._policy
