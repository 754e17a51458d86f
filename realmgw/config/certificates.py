"""A folder of certificates with their keys: which can be used, for which names, and what is wrong with others.

A file is a *bundle*, as HAProxy and others have it: the certificate of a name, those of its issuers, and the key, all
of them PEM (RFC 7468). Its name ends with `.pem`; other files are left alone, such as those that are being written.

Edge: files, TLS.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path, PurePath
from typing import Any

import attrs
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from realmgw.errors import MalformedError
from realmgw.system.disk import exposed, read, stamp

MOST = 1000
"""So many files are read of a folder."""
MOST_READ = 2**16  # octets
"""So long a file may be."""
MOST_TOLD = 15_000  # octets
"""So long a bundle may be without what stands between its parts, and so long its names as HAProxy is told them: it
takes either as one message of 16 kB."""
MOST_NAMES = 1000
"""For so many names a certificate may be: HAProxy takes 2047 words in a line, and each of them is two."""
LEAST_RSA = 2048  # bits
"""The shortest key of RSA; OpenSSL refuses shorter ones as it comes."""
SOON = 14 * 86_400.0  # seconds
"""So long before its end an end is told, or a fifth of its time, whichever is less."""
NAMED = 3
"""So many names of a bundle are told."""
_FILE = re.compile(r"[A-Za-z0-9_@-][A-Za-z0-9._@-]{0,199}\.pem")
_NAME = re.compile(r"(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*")
_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\r?\n[^-]+?-----END \1-----")
_OLD = ("md5", "sha1")
_KEYS = rsa.RSAPublicKey, ec.EllipticCurvePublicKey, ed25519.Ed25519PublicKey
_CURVES = ec.SECP256R1, ec.SECP384R1, ec.SECP521R1


@attrs.frozen
class Bundle:
    """A certificate with its issuers and its key."""

    file: str
    """The name of its file."""
    pem: bytes
    """Key, certificate and issuers, without anything between them."""
    names: tuple[str, ...]
    """What it is for: DNS names in small letters, without a last dot; `*` may be the first label."""
    begins: float
    """From when on it is valid, in seconds since 1970."""
    ends: float
    """Until when."""

    @property
    def key(self) -> str:
        """Another one for another content."""
        return f"{hashlib.blake2b(self.pem, digest_size=8).hexdigest()}.{self.file}"

    @property
    def asked(self) -> str:
        """The names as clients ask for them, with a last dot or without, a space between each two."""
        return " ".join(f"{each} {each}." for each in self.names)

    def is_valid(self, now: float) -> bool:
        """Whether clients take it at this time (seconds since 1970)."""
        return self.begins <= now < self.ends


@attrs.frozen
class Folder:
    """What was found in a folder."""

    bundles: Mapping[str, Bundle] = attrs.field(factory=dict)
    """Those that can be used, by their files."""
    faults: Mapping[str, str] = attrs.field(factory=dict)
    """Why others can not, by their files."""
    doubts: tuple[str, ...] = ()
    """What is wrong besides."""
    trouble: str = ""
    """Why nothing can be said of it as a whole."""
    stamps: Mapping[str, object] = attrs.field(factory=dict)
    """Of each file, another one whenever it may be different; None: it could not be read, and may be the next time."""


def look(path: PurePath, known: Folder | None = None) -> Folder:
    """Read a folder. It may block.

    Args:
        path: The folder.
        known: What was found before; it is returned if nothing has changed.
    """
    try:
        files = sorted(each.name for each in os.scandir(path) if each.name.endswith(".pem") and each.name[0] != ".")
    except OSError as error:
        return Folder(trouble=f"{path} can not be read: {error.strerror}")
    if not files or len(files) > MOST:
        return Folder(trouble=f"{path} has {len(files)} files *.pem: from 1 to {MOST} can be used")
    stamps = {name: stamp(Path(path) / name) for name in files}
    if known is not None and known.stamps == stamps:
        return known
    before, bundles, faults = known or Folder(), dict[str, Bundle](), dict[str, str]()
    for name in files:
        is_same = before.stamps.get(name) is not None and before.stamps[name] == stamps[name]
        try:
            found = (before.bundles.get(name) if is_same else None) or _read(Path(path), name)
        except MalformedError as error:
            faults[name] = str(error)
        except OSError as error:
            faults[name], stamps[name] = f"it can not be read: {error.strerror}", None
        else:
            bundles[name] = found
    return Folder(bundles, faults, tuple(_doubts(path, files)), stamps=stamps)


def _read(folder: Path, name: str) -> Bundle:
    """What is in a file; raises `OSError` if it can not be read, and `MalformedError` if it can not be used."""
    return bundle(name, read(folder / name, MOST_READ))


def _doubts(folder: PurePath, files: Sequence[str]) -> Iterator[str]:
    """Who else may read keys, or put others in their place."""
    who = exposed(folder)
    if who:
        yield f"{who}: certificates could be anybody's"
    for name in files:
        try:
            mode = (Path(folder) / name).stat().st_mode
        except OSError:
            continue
        if mode & 0o077:
            yield f"{name}: others may read its key: chmod 600"


def bundle(file: str, content: bytes) -> Bundle:
    """What is in a file.

    Args:
        file: Its name.
        content: All of it.

    Raises:
        MalformedError: It can not be used; the text says why.
    """
    if _FILE.fullmatch(file) is None:
        raise MalformedError("its name has other characters than letters, digits, '.', '-', '_' and '@'")
    parts = [(found[1], found[0]) for found in _BLOCK.finditer(content)]
    if len(parts) != content.count(b"-----BEGIN "):
        raise MalformedError("it ends in the middle, or what is between two lines '-----' is no PEM")
    certificates = [_loaded(x509.load_pem_x509_certificate, text) for kind, text in parts if kind == b"CERTIFICATE"]
    keys = [text for kind, text in parts if kind.endswith(b"PRIVATE KEY")]
    if not certificates or len(keys) != 1:
        raise MalformedError(f"it has {len(certificates)} certificates and {len(keys)} keys: write both, and one key")
    if b"ENCRYPTED" in keys[0]:
        raise MalformedError("its key has a passphrase: write the key without one, openssl pkey -in KEY -out NEW")
    key: Any = _loaded(lambda text: serialization.load_pem_private_key(text, None), keys[0])
    if key.public_key() != certificates[0].public_key():
        raise MalformedError("the key is not that of its first certificate")
    for each in certificates:
        _refuse_weak(each)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ) + b"".join(each.public_bytes(serialization.Encoding.PEM) for each in certificates)
    if len(pem) > MOST_TOLD:
        raise MalformedError(f"it has {len(pem)} octets, of which HAProxy takes {MOST_TOLD}: leave out issuers")
    first = certificates[0]
    begins, ends = (_seconds(first, which) for which in ("not_valid_before", "not_valid_after"))
    found = Bundle(file, pem, _names(first), begins, ends)
    if len(found.names) > MOST_NAMES or len(found.asked) > MOST_TOLD:
        said = f"it is for {len(found.names)} names, which HAProxy is told by {len(found.asked)} octets"
        raise MalformedError(f"{said}, and takes {MOST_NAMES} and {MOST_TOLD}: have more certificates made, for fewer")
    return found


def _loaded(load: Callable[[bytes], Any], text: bytes) -> Any:
    try:
        return load(text)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        why = str(error).partition("\n")[0][:200]
        raise MalformedError(f"part of it is no certificate, or no key: {why}") from None


def _refuse_weak(certificate: x509.Certificate) -> None:
    """What OpenSSL would refuse as it comes, and HAProxy with it."""
    try:
        key, digest = certificate.public_key(), certificate.signature_hash_algorithm
    except (ValueError, UnsupportedAlgorithm):
        raise MalformedError("its key or signature is of a kind that is not known") from None
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < LEAST_RSA:
        raise MalformedError(f"it has an RSA key of {key.key_size} bits: the least is {LEAST_RSA}")
    if isinstance(key, ec.EllipticCurvePublicKey) and not isinstance(key.curve, _CURVES):
        raise MalformedError(f"it has a key of curve {key.curve.name}: browsers take P-256, P-384 and P-521")
    if not isinstance(key, _KEYS):
        raise MalformedError("it has a key of another kind than RSA, P-256, P-384, P-521 and Ed25519")
    if digest is not None and digest.name in _OLD and certificate.issuer != certificate.subject:
        raise MalformedError(f"it is signed with {digest.name}, which nobody takes any more")


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        said = alternative.get_values_for_type(x509.DNSName)
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        said = []
    names = tuple(dict.fromkeys(each.lower().rstrip(".") for each in said))
    if not names or not all(map(_NAME.fullmatch, names)):
        raise MalformedError("it is for no DNS name (subjectAltName), or for one that nobody can ask for")
    return names


def _seconds(certificate: x509.Certificate, which: str) -> float:
    when: datetime = getattr(certificate, f"{which}_utc")
    return when.timestamp()


def problems(path: PurePath, now: float) -> tuple[str, ...]:
    """What is wrong with a folder that nothing was used of before (now: seconds since 1970). It may block."""
    found = look(path)
    return tuple(sentences(found, kept({}, found, now), now))


def sentences(folder: Folder, bundles: Mapping[str, Bundle], now: float) -> Iterator[str]:
    """What an operator should know, a line each.

    Args:
        folder: What was found.
        bundles: What is used.
        now: Seconds since 1970.
    """
    if folder.trouble:
        yield f"{folder.trouble}{': those from before are used' if bundles else ''}"
    for file, why in folder.faults.items():
        yield f"{file}: {why}{': the one before is used' if file in bundles else ''}"
    for file, new in folder.bundles.items():
        if bundles[file] != new:
            yield f"{file}: it is valid from {moment(new.begins)} to {moment(new.ends)}: the one before is used"
    for each in bundles.values():
        if not each.is_valid(now):
            yield f"{each.file}: clients refuse it, it is valid from {moment(each.begins)} to {moment(each.ends)}"
        elif each.ends - now < min(SOON, (each.ends - each.begins) / 5):
            yield f"{each.file}: it ends at {moment(each.ends)}: renew it"
    yield from folder.doubts


def moment(seconds: float) -> str:
    """A time as people read it, UTC."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M UTC")


def kept(former: Mapping[str, Bundle], folder: Folder, now: float) -> dict[str, Bundle]:
    """What is used from now on: what was found, and where that can not be used, what was used before.

    Args:
        former: What was used.
        folder: What was found. A file that is gone is not used any more, unless the folder as a whole can not be read.
        now: Seconds since 1970.
    """
    if folder.trouble:
        return dict(former)
    used = {file: former[file] for file in folder.faults if file in former}
    for file, each in folder.bundles.items():
        before = former.get(file)
        is_worse = before is not None and before.is_valid(now) and not each.is_valid(now)
        used[file] = before if before is not None and is_worse else each
    return used
