"""What values are remembered as while a main file is read."""

from __future__ import annotations

import enum


class Label(enum.Enum):
    """What values are remembered as, for `consistency`. In brackets: their type."""

    ZONE = enum.auto()
    """An apex (str)."""
    ALIAS_ZONE = enum.auto()
    """Whether a zone is for one-time aliases (bool)."""
    CHALLENGES = enum.auto()
    """Challenges of a zone or of the policy (Challenges)."""
    NAME_SERVER = enum.auto()
    """A zone's name server (NameServer)."""
    APEX_ADDRESS = enum.auto()
    """A zone's own addresses (tuple[Address, ...])."""
    INTERFACE = enum.auto()
    """The name of an interface, of either side (str)."""
    LAN = enum.auto()
    """The name of an interface towards private hosts (str)."""
    OUTBOUND6 = enum.auto()
    """How IPv6 flows of a LAN leave (Outbound6)."""
    MODE6 = enum.auto()
    """What holds for the hosts of a prefix (PrefixMode)."""
    POOL = enum.auto()
    """An entry of the circular pool (tuple[Network, ...])."""
    SERVICE = enum.auto()
    """An address of the service pool (Address)."""
    LISTEN = enum.auto()
    """Where the DNS server listens, on either side (Endpoint)."""
    PORTAL = enum.auto()
    """Where the portal listens (Endpoint)."""
    METRICS = enum.auto()
    """Where metrics are told (Endpoint | PurePath)."""
    DASHBOARD = enum.auto()
    """Where the dashboard is served (Endpoint | PurePath)."""
    PART = enum.auto()
    """A part whose keys are of use only with each other (of its own class; its place is that of all of them)."""
    UNKNOWN_HOSTS = enum.auto()
    """`datapath.unknown_hosts` (UnknownHosts)."""
    UPDATE = enum.auto()
    """`dns.update.listen` (tuple[Endpoint, ...])."""
    KEY_FILE = enum.auto()
    """`dns.update.key_file` (PurePath)."""
    UNSIGNED = enum.auto()
    """`dns.update.unsigned` (bool)."""
    LINGER = enum.auto()
    """`allocation.linger` (float)."""
    LINGER_LOADED = enum.auto()
    """`allocation.linger_loaded` (float)."""
    RESOLVER = enum.auto()
    """An entry of a group of resolvers (Network)."""
    AUDIT = enum.auto()
    """A rule that is only counted (Audit)."""
    STAGE = enum.auto()
    """A stage of the network policy (PolicyStage)."""
    CHECK = enum.auto()
    """What is looked at before anything else (Check)."""
    STAGE_INTERFACE = enum.auto()
    """The name of an interface that a stage is about (str)."""
    TUNNEL = enum.auto()
    """The name of an interface of neither side that stages may be about (str)."""
    GROUP = enum.auto()
    """The name of a group of subscribers that is told of in `policy.pipeline.groups` (str)."""
    GROUPED = enum.auto()
    """The name of a group of subscribers that something else in the file is about (str)."""
    DEFAULT_GROUPS = enum.auto()
    """`dns.update.defaults.groups` (tuple[str, ...])."""
    URL = enum.auto()
    """`repository.url` (str)."""
    CA_FILE = enum.auto()
    """`repository.ca_file` (PurePath)."""
    TOKEN_FILE = enum.auto()
    """`repository.token_file` (PurePath)."""
    LIST = enum.auto()
    """What a list of names is called (str)."""
    PEER = enum.auto()
    """An address that is somebody else's: a resolver, the SYN proxy (Endpoint)."""
    ALERTS = enum.auto()
    """Where alerts come by UDP (Endpoint)."""
    DEFAULT_SERVICE = enum.auto()
    """A service of hosts that are registered, and known nowhere else (DefaultService)."""
