"""The settings of the reverse proxy of the service pool: HAProxy, which the gateway runs."""

from __future__ import annotations

import re
from pathlib import PurePath

import attrs

from realmgw.config.validators import Section, boolean, integer, key, matching, number, parsed

HTTP_PORT, HTTPS_PORT = 80, 443
LONGEST = 86_400.0  # seconds
"""Of any time that the proxy waits."""
MOST = 1_000_000
"""The most connections that can be asked for."""


_STATUSES = re.compile(r"[1-5][0-9]{2}(-[1-5][0-9]{2})?")


def _statuses(text: str) -> str:
    for each in text.split(","):
        low, _, high = each.partition("-")
        if _STATUSES.fullmatch(each) is None or (high and high < low):
            raise ValueError(f"{text!r} is no list of statuses: write some of 100 to 599, like 200-399 or 200,204,301")
    return text


@attrs.frozen
class Health:
    """How hosts are looked at whose services have `http_health` or `https_health`."""

    interval: float = key(number(0.1, LONGEST), 5.0)  # seconds
    """From one look to the next; also the longest that a host may take to accept its connection."""
    timeout: float = key(number(0.1, LONGEST), 2.0)  # seconds
    """How long a host may take to answer then."""
    rise: int = key(integer(1, 100), 2)
    """After so many looks in a row that went well, one that was down is up."""
    fall: int = key(integer(1, 100), 3)
    """After so many in a row that did not, one that was up is down."""
    status: str = key(parsed(_statuses), "200-399")
    """What answers to requests may have as their status: numbers and ranges, with a comma between each two."""
    most: int = key(integer(1, 10_000), 500)
    """So many names at most are looked at; HAProxy has two connections more for each."""


@attrs.frozen
class Webproxy:
    """The reverse proxy of the service pool: by HTTP Host, and by the name in TLS (SNI)."""

    enabled: bool = key(boolean, False)
    """Whether the gateway runs it."""
    program: PurePath = key(parsed(PurePath), PurePath("/usr/sbin/haproxy"))
    """HAProxy."""
    user: str = key(matching(r"[A-Za-z_][A-Za-z0-9_-]{0,30}", "the name of a user"), "haproxy")
    """As whom it runs once it listens. It must be nobody else's: by this user the kernel knows the proxy's packets."""
    http_port: int = key(integer(1, 65535), HTTP_PORT)
    """Where it takes HTTP, at each address of the service pool."""
    https_port: int = key(integer(1, 65535), HTTPS_PORT)
    """The same for TLS."""
    certificates: PurePath | None = key(parsed(PurePath), None)
    """A folder of certificates with their keys (*.pem), for services with `tls_termination`; None: there are none."""
    connections: int = key(integer(1, MOST), 5000)
    """So many clients may be connected at once; more wait to be taken. With `certificates`: by HTTP, and by TLS."""
    connections_per_client: int = key(integer(1, MOST), 256)
    """So many of one IPv4 address, or of one /64 of IPv6; more are closed."""
    request_timeout: float = key(number(0.1, LONGEST), 10.0)  # seconds
    """How long a client may take to say what it wants: the headers of a request, or the first message of TLS."""
    connect_timeout: float = key(number(0.1, LONGEST), 5.0)  # seconds
    """How long a host may take to accept a connection."""
    idle_timeout: float = key(number(0.1, LONGEST), 60.0)  # seconds
    """For how long either side of a request may say nothing."""
    tunnel_timeout: float = key(number(0.1, LONGEST), 3600.0)  # seconds
    """The same of what goes both ways: TLS, and WebSocket."""
    health: Health = key(Section(Health), Health())
    """How it is found out whether hosts are well."""
    runs_as: tuple[int, int] | None = attrs.field(default=None, eq=False)
    """The numbers of its user and of his group, found when settings are read; None: it can not be run. No key."""

    @property
    def taken(self) -> int:
        """So many connections HAProxy may have at once: where TLS ends, each comes in once more; and looks at hosts."""
        return (self.connections if self.certificates is None else 3 * self.connections) + self.health.most
