"""The file of the keys that dynamic updates are signed with (TSIG, RFC 8945), and what each of them may change."""

from __future__ import annotations

import base64
import enum
from ipaddress import ip_network

import attrs

from realmgw.config.addresses import network
from realmgw.config.document import Problems, parsing
from realmgw.config.steps import Steps
from realmgw.config.validators import Section, choice, key, keys_of, name, parsed, reading, sequence, table
from realmgw.config.values import Network

LONGEST = 2**18  # octets
"""Of a file of keys."""
SHORTEST = 16  # octets
"""Of a secret: fewer could be guessed."""
SHORT = 5  # characters
"""A shorter word is no secret."""


class Algorithm(enum.Enum):
    """How messages are signed (RFC 8945 section 6)."""

    SHA1 = "hmac-sha1"
    """Has to be known, and is not recommended."""
    SHA224 = "hmac-sha224"
    """The same."""
    SHA256 = "hmac-sha256"
    """The usual one."""
    SHA384 = "hmac-sha384"
    """With a longer sum."""
    SHA512 = "hmac-sha512"
    """With the longest."""


NOT_RECOMMENDED = frozenset((Algorithm.SHA1, Algorithm.SHA224))
"""Those that nobody should use who has a choice."""
_NEVER = "hmac-sha256: md5 must not be used (RFC 8945 section 6), make a new key"


class UpdateType(enum.Enum):
    """What may be registered, by its name; nothing else is."""

    A = "A"
    """An IPv4 address."""
    AAAA = "AAAA"
    """An IPv6 address."""
    PTR = "PTR"
    """The name of an address."""
    DHCID = "DHCID"
    """Whose a name is, as DHCP servers tell each other (RFC 4701)."""
    TXT = "TXT"
    """The same, of older ones."""


def _secret(text: str) -> bytes:
    try:
        found = base64.b64decode("".join(text.split()), validate=True)
    except ValueError:
        raise ValueError("the secret is no base64: write what tsig-keygen or `openssl rand -base64 32` says") from None
    if len(found) < SHORTEST:
        raise ValueError(f"the secret has {len(found)} octets: write one of at least {SHORTEST}")
    return found


@attrs.frozen(repr=False)
class Grant:
    """What a key in the file says, without its name."""

    secret: bytes = key(parsed(_secret))
    """What both sides know."""
    algorithm: Algorithm = key(
        choice(Algorithm, gone={"hmac-md5": _NEVER, "hmac-md5.sig-alg.reg.int": _NEVER}), Algorithm.SHA256
    )
    """How messages are signed."""
    names: tuple[str, ...] = key(sequence(name), ())
    """Names that it may change, with all below them; none: any of our zones."""
    types: tuple[UpdateType, ...] = key(sequence(choice(UpdateType)), tuple(UpdateType))
    """Types of records that it may change."""
    addresses: tuple[Network, ...] = key(sequence(parsed(network)), ())
    """Networks of whose addresses it may register hosts; none: any."""


@attrs.frozen
class UpdateKey:
    """A key."""

    name: str
    """Its name, absolute and in lower case."""
    grant: Grant = attrs.field(repr=False)
    """The rest; it is never shown."""


@attrs.frozen
class _Keys:
    """The file."""

    keys: dict[str, Grant] = key(table(name, Section(Grant)))
    """Each by its name."""


def reading_keys(content: bytes, problems: Problems) -> Steps[tuple[UpdateKey, ...]]:
    """Reads the file.

    Args:
        content: The file.
        problems: Gets what is wrong with it; of what stands there only addresses are quoted, and words of ours.
    """
    problems.may_quote = _is_no_secret
    root = yield from parsing(content, problems)
    if root is None:
        if not problems.found:
            problems.add(None, "there is no key in it: write keys: {name: {algorithm: ..., secret: ...}}")
        return ()
    found = yield from reading(Section(_Keys), root, problems)
    if found is None:
        return ()
    if not found.keys:
        problems.add(root, "there is no key in it: write one")
    return tuple(UpdateKey(each, grant) for each, grant in found.keys.items())


_WORDS = frozenset(
    (*keys_of(Grant), *keys_of(_Keys), *(each.value for each in Algorithm), *(each.value for each in UpdateType))
)
"""That the file consists of, but for what is chosen by the operator."""


def _is_no_secret(quoted: str) -> bool:
    """Whether a word of the file may be told."""
    if quoted in _WORDS or len(quoted) < SHORT:
        return True
    try:
        ip_network(quoted, strict=False)
    except ValueError:
        return False
    return "." in quoted or ":" in quoted
