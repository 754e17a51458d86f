"""The node's settings, and what its main file is. Pure."""

from __future__ import annotations

from functools import partial
from ipaddress import ip_address
from pathlib import PurePath

import attrs

from realmgw.config import identifiers
from realmgw.config.addresses import Inside, endpoint, network
from realmgw.config.external import SYNPROXY_PORT, Logging
from realmgw.config.metrics import THIS_MACHINE, Metrics
from realmgw.config.parts import Part
from realmgw.config.validators import (
    Key,
    Section,
    boolean,
    integer,
    key,
    keys_of,
    matching,
    parsed,
    sequence,
)  # fmt: skip
from realmgw.config.values import Network
from realmgw.datapath.place import Tenant
from realmgw.synnode.rules import Guarding
from realmgw.synproxy.codec import MAX_WINDOW_SCALE, TcpOptions
from realmgw.system.endpoints import Endpoint

DEFAULT_CONFIG = "/etc/realmgw/synproxy.yaml"
"""The main file, when the command line does not say."""
CONTROL = Endpoint(ip_address("127.0.0.1"), SYNPROXY_PORT)
"""Where gateways are served, when the main file does not say: by those of the same machine only."""
TENANT = Tenant("realmgw-synproxy", "SYN proxy node", "`table`")
MOST_PREFIXES = 4096
MOST_INTERFACES = 64


@attrs.frozen
class Answer:
    """What is answered to whom no entry is for; the defaults suit every server."""

    mss: int = key(integer(1, 0xFFFF), 536)  # octets
    """The longest segment."""
    sack: bool = key(boolean, False)
    """Selective acknowledgements are permitted."""
    window_scale: int = key(integer(0, MAX_WINDOW_SCALE), 1)
    """The shift count, 0 to 14."""

    @property
    def options(self) -> TcpOptions:
        """The same as a value of the control protocol."""
        return TcpOptions(self.mss, self.sack, self.window_scale)


@attrs.frozen
class Tls:
    """The control protocol by TLS."""

    certificate_file: PurePath = key(parsed(PurePath))
    """The certificate and those between it and its root, PEM."""
    key_file: PurePath = key(parsed(PurePath))
    """Its private key, PEM, without a passphrase."""


@attrs.frozen
class Operators:
    """How operators reach the running node."""

    socket: PurePath = key(parsed(PurePath), PurePath("/run/realmgw-synproxy/control.sock"))
    """The unix socket that its status is told at."""
    group: str | None = key(matching(r"[A-Za-z_][A-Za-z0-9_-]{0,30}", "the name of a group of users"), None)
    """A group of users that may ask; None: only who runs the node, and root."""


_control = parsed(partial(endpoint, default=SYNPROXY_PORT))
_prefix = parsed(network)


@attrs.frozen
class NodeSettings:
    """All settings of one node."""

    outside: tuple[str, ...]
    """Interfaces that clients' SYNs come from."""
    guarded: tuple[Network, ...]
    """Prefixes whose SYNs are answered: the pools of the gateways behind."""
    listen: tuple[Endpoint, ...] = key(sequence(_control, at_least=1, at_most=64), (CONTROL,))
    """Where gateways are served."""
    clients: tuple[Network, ...] = key(sequence(_prefix, at_most=MOST_PREFIXES), THIS_MACHINE)
    """Who may connect there."""
    tls: Tls | None = key(Section(Tls), None)
    """By TLS only; None: in the clear."""
    connections: int = key(integer(1, 1024), 64)
    """How many gateways may be connected at once."""
    entries: int = key(integer(1, 4_194_304), 262_144)
    """How many entries the table may have."""
    default: Answer = key(Section(Answer), Answer())
    """What is answered to whom no entry is for."""
    timestamps: bool = key(boolean, True)
    """Clients are offered timestamps; without them the kernel's SYN proxy knows neither SACK nor a window scale."""
    table: str = key(parsed(identifiers.table_name), "realmgw_synproxy")
    """Name of the nftables table (family inet)."""
    state: PurePath = key(parsed(PurePath), PurePath("/var/lib/realmgw-synproxy"))
    """Where it is kept what a purge has to put back."""
    control: Operators = key(Section(Operators), Operators())
    """How operators reach it."""
    metrics: Metrics = key(Part(Metrics), Metrics())
    """What monitoring systems are told."""
    logging: Logging = key(Section(Logging), Logging())
    """What is logged."""
    _inside: Inside = attrs.field(init=False, eq=False, repr=False)
    """`guarded`, to be looked up. No key."""

    @_inside.default
    def _(self) -> Inside:
        found = Inside()
        for index, prefix in enumerate(self.guarded):
            found.add(index, prefix)
        return found

    @property
    def guarding(self) -> Guarding:
        """What the rules of the kernel depend on."""
        return Guarding(self.table, self.outside, self.guarded, self.timestamps, self.default.options)

    def may_connect(self, address: str) -> bool:
        """Whether who has this address (as text) may have something done."""
        who = ip_address(address)
        return any(who in each for each in self.clients if each.version == who.version)

    def guards(self, address: bytes) -> bool:
        """Whether an address (packed) is guarded; all zeros is any. The number of prefixes costs nothing."""
        return not any(address) or any(True for _ in self._inside.of(address))


_interfaces = sequence(parsed(identifiers.interface_name), at_least=1, at_most=MOST_INTERFACES)
NODE = Section(
    NodeSettings,
    {
        "outside": Key(_interfaces, required=True),
        "guarded": Key(sequence(_prefix, at_least=1, at_most=MOST_PREFIXES), required=True),
        **keys_of(NodeSettings),
    },
)
"""The main file. Paths in it are as they are written."""
