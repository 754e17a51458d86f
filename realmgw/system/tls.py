"""A server's certificate and key; why there is no connection. Edge: files, TLS."""

from __future__ import annotations

from pathlib import PurePath

from OpenSSL import SSL, crypto
from twisted.internet.ssl import CertificateOptions, TLSVersion
from twisted.python.failure import Failure

from realmgw.errors import PlatformError
from realmgw.system.disk import read

MAX_PEM = 2**20  # octets
"""The longest file with certificates, or a key."""
_BEGIN = b"-----BEGIN CERTIFICATE-----"


def tls_options(certificate: PurePath, key: PurePath) -> CertificateOptions:
    """The server's TLS, 1.2 or later.

    Raises:
        PlatformError: One of the files can not be used.
    """
    try:
        first, *issuers = [_BEGIN + text for text in read(certificate, MAX_PEM).split(_BEGIN)[1:]]
        options = CertificateOptions(
            privateKey=crypto.load_privatekey(crypto.FILETYPE_PEM, read(key, MAX_PEM), _no_passphrase),
            certificate=crypto.load_certificate(crypto.FILETYPE_PEM, first),
            extraCertChain=[crypto.load_certificate(crypto.FILETYPE_PEM, text) for text in issuers],
            raiseMinimumTo=TLSVersion.TLSv1_2,
        )
        options.getContext()  # finds out whether they belong together
    except (OSError, ValueError, crypto.Error, SSL.Error) as error:
        why = getattr(error, "strerror", None) or error
        raise PlatformError(f"{certificate} with {key} can not be used for TLS: {why}") from error
    return options


def trouble_of(failure: Failure) -> str:
    """Why there is no connection, in a few words; by TLS or without."""
    error = failure.value
    if isinstance(error, SSL.Error):
        said = error.args[0] if error.args and isinstance(error.args[0], list) else []
        return "TLS: " + (", ".join(each[-1] for each in said) or "failed")
    return failure.getErrorMessage().rstrip(".") or type(error).__name__


def _no_passphrase(*_: object) -> bytes:
    """Instead of OpenSSL, which would ask for it at the terminal, and wait.

    Raises:
        ValueError: In any case.
    """
    raise ValueError("the key has a passphrase: write the key without one, openssl pkey -in KEY -out NEW")
