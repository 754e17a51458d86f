"""What hosts and services are like: options that subscriber files and the main file have in common."""

from __future__ import annotations

import enum

import attrs

from realmgw.config.labels import Label
from realmgw.config.names import absolute
from realmgw.config.protocols import protocol
from realmgw.config.validators import (
    Section,
    boolean,
    choice,
    integer,
    key,
    matching,
    number,
    parsed,
    plain_text,
    remembered,
    sequence,
)

ANY = 0
"""As a protocol or a port: every one."""
CLAIM_LIFETIME = 2.0  # seconds
"""How long an unused reservation of a service lives, unless the service says otherwise."""
USUAL_GROUPS = ("prepaid-1",)
"""The groups of hosts that are registered, unless something else is said."""
MOST_CLAIMS = 1_000_000
"""The most claims that may be pending on a host."""


class Look(enum.Enum):
    """How the reverse proxy finds out whether a host is well."""

    CONNECT = "connect"
    """It accepts a connection."""
    REQUEST = "request"
    """It answers a request."""


@attrs.frozen
class Terms:
    """What may be reached by a service, and how. Services of which the same is said share one."""

    protocol: int = key(protocol, ANY)
    """IP protocol number (1, 6, 17, 132, ...), 0 for any."""
    port: int = key(integer(0, 65535), ANY)
    """Destination port, 0 for any."""
    proxy_required: bool = key(boolean, False)
    """Answer with the service pool's address: a reverse proxy routes by HTTP Host or TLS SNI."""
    http_port: int = key(integer(1, 65535), 80)
    """Behind the reverse proxy: where the host takes HTTP."""
    https_port: int = key(integer(1, 65535), 443)
    """The same for TLS."""
    https_redirect: bool = key(boolean, False)
    """The same: who comes by HTTP is sent to HTTPS."""
    proxy_protocol: bool = key(boolean, False)
    """The same: the host is told who the client is by the PROXY protocol, version 2, before anything else."""
    tls_termination: bool = key(boolean, False)
    """The same: TLS ends at the proxy, which has the certificate; the host is asked by HTTP."""
    http_health: Look | None = key(choice(Look), None)
    """The same: how it is found out whether the host is well at `http_port`; None: it is not."""
    https_health: Look | None = key(choice(Look), None)
    """The same at `https_port`; if TLS ends at the proxy, nobody gets there."""
    health_path: str = key(matching(r"/[A-Za-z0-9/._~%?&=+:@-]{0,255}", "a path, like /health"), "/")
    """What is requested for that."""
    carriergrade: bool = key(boolean, False)
    """The host is a realm gateway itself."""
    loose_packet: int = key(integer(-1, 1_000_000), 0)
    """0: the first packet uses the claim. n > 0: n further ones are let in. -1: the claim stays open till its end."""
    autobind: bool = key(boolean, True)
    """After the first packet, what `loose_packet` lets in is bound to that sender."""
    timeout: float = key(number(0.1, 3600.0), CLAIM_LIFETIME)
    """How long, in seconds, a claim waits for its client."""
    tcp_mss: int | None = key(integer(88, 65_495), None)
    """What SYN proxies answer in the host's name, in octets; None, here and below: as the configuration says."""
    tcp_sack: bool | None = key(boolean, None)
    """The same: selective acknowledgements are permitted."""
    tcp_window_scale: int | None = key(integer(0, 14), None)
    """The same: the shift count."""


@attrs.frozen
class DefaultService(Terms):
    """A service of a host that nobody knows but the DHCP server."""

    label: str | None = key(parsed(lambda text: absolute(text)[:-1]), None)
    """What stands before the host's name in the service's; None: nothing, it is the same name."""


@attrs.frozen
class DefaultHost:
    """What holds for a host that is registered by dynamic update, and that no file and no repository knows."""

    services: tuple[DefaultService, ...] | None = key(
        sequence(remembered(Label.DEFAULT_SERVICE, Section(DefaultService)), at_most=64), None
    )
    """By what it is reached; None: by its name, and where there is a service pool, with `www` and `sip` before that and
    by its proxy."""
    max_claims: int = key(integer(0, MOST_CLAIMS), 2)
    """At how many addresses its clients may be expected at once."""
    groups: tuple[str, ...] = key(
        remembered(Label.DEFAULT_GROUPS, sequence(remembered(Label.GROUPED, plain_text))), USUAL_GROUPS
    )
    """Names of the subscriber groups that it belongs to."""
