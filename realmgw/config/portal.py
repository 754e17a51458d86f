"""The settings of the page for guests: LAN hosts that are no subscribers."""

from __future__ import annotations

import enum
from functools import partial
from pathlib import PurePath

import attrs

from realmgw.config.addresses import endpoint, host, link, network
from realmgw.config.labels import Label
from realmgw.config.validators import (
    Key,
    Section,
    choice,
    converted,
    key,
    keys_of,
    name,
    parsed,
    remembered,
    sequence,
    table,
)  # fmt: skip
from realmgw.config.values import Network
from realmgw.system.endpoints import Endpoint

HTTP_PORT, HTTPS_PORT = 80, 443
LONGEST_TEXT = 2000  # characters
"""Of the operator: the page is a small one."""
MOST_REACHABLE = 1024
"""So many prefixes guests may reach."""


class Language(enum.Enum):
    """What the page can speak, by its tag (RFC 5646)."""

    EN = "en"
    """English."""
    DE = "de"
    """German."""
    FR = "fr"
    """French."""
    FI = "fi"
    """Finnish."""
    SV = "sv"
    """Swedish."""
    ES = "es"
    """Spanish."""
    IT = "it"
    """Italian."""


def _listening(port: int, text: str) -> Endpoint:
    found = endpoint(text, port)
    host(str(found.address))
    return found


def _words(text: str) -> str:
    if len(text) > LONGEST_TEXT:
        raise ValueError(f"this has {len(text)} characters: write at most {LONGEST_TEXT}")
    return text


def _listen(port: int) -> Key[tuple[Endpoint, ...]]:
    return Key(sequence(remembered(Label.PORTAL, parsed(partial(_listening, port))), at_least=1), required=True)


_language = converted(choice(Language), lambda language: language.value)
_texts = converted(table(_language, parsed(_words)), lambda texts: tuple(texts.items()))


@attrs.frozen
class PortalTls:
    """The same page by HTTPS, which the captive portal API needs (RFC 8908)."""

    listen: tuple[Endpoint, ...]
    """Where; port 443, if none is written."""
    name: str = key(name)
    """The name in the certificate, which guests come by."""
    certificate_file: PurePath = key(parsed(PurePath))
    """The certificate and those between it and its root, PEM."""
    key_file: PurePath = key(parsed(PurePath))
    """Its private key, PEM, without a passphrase."""


_TLS = Section(PortalTls, {"listen": _listen(HTTPS_PORT), **keys_of(PortalTls)})


@attrs.frozen
class Portal:
    """The page for guests."""

    listen: tuple[Endpoint, ...]
    """Where it is served; port 80, if none is written. Guests are sent to the first one of their family."""
    tls: PortalTls | None = key(_TLS, None)
    """By HTTPS as well; None: not."""
    text: tuple[tuple[str, str], ...] = key(_texts, ())
    """What the operator has to say, by language."""
    link: str | None = key(parsed(link), None)
    """Where guests are registered, or find out how; None: there is no such page."""
    reachable: tuple[Network, ...] = key(sequence(parsed(network), at_most=MOST_REACHABLE), ())
    """Where guests get nevertheless, the servers of the link for example; and what of the gateway itself."""

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """All that it listens at."""
        return self.listen if self.tls is None else (*self.listen, *self.tls.listen)


PORTAL = Section(Portal, {"listen": _listen(HTTP_PORT), **keys_of(Portal)})
