"""What tests need that is not the project's: programs and modules, each with the package that brings it.

A test that skips for want of one says so by the name of the package. `testbed/check`, which installs all of them,
counts such a test as failed.
"""

from __future__ import annotations

import shutil
from importlib.util import find_spec

PACKAGES = {
    "bash": "bash",
    "busybox": "busybox-static",
    "cc": "build-essential",
    "curl": "curl",
    "dhclient": "isc-dhcp-client",
    "dhcpd": "isc-dhcp-server",
    "dig": "bind9-dnsutils",
    "dnsmasq": "dnsmasq-base",
    "fish": "fish",
    "haproxy": "haproxy",
    "ip": "iproute2",
    "iptables": "iptables",
    "iptables-legacy": "iptables",
    "iptables-nft": "iptables",
    "journalctl": "systemd",
    "kea-dhcp-ddns": "kea-dhcp-ddns-server",
    "kea-dhcp4": "kea-dhcp4-server",
    "kea-dhcp6": "kea-dhcp6-server",
    "knsupdate": "knot-dnsutils",
    "make": "build-essential",
    "mandoc": "mandoc",
    "nfcapd": "nfdump",
    "nfdump": "nfdump",
    "nsupdate": "bind9-dnsutils",
    "ping": "iputils-ping",
    "promtool": "prometheus",
    "radvd": "radvd",
    "setpriv": "util-linux",
    "suricata": "suricata",
    "systemd-analyze": "systemd",
    "tshark": "tshark",
    "ulogd": "ulogd2",
    "unbound": "unbound",
    "unshare": "util-linux",
    "zsh": "zsh",
}
"""Program -> Debian's package."""
DISTRIBUTIONS = {
    "_ruamel_yaml": "ruamel.yaml.clib",
    "dns": "dnspython",
    "netfilterqueue": "NetfilterQueue",
    "pyroute2": "pyroute2",
    "schemathesis": "schemathesis",
    "testbed": "testbed: run from a checkout",
}
"""Module -> Python package."""


def missing(*programs: str) -> str | None:
    """Which packages are missing to run these programs, or None."""
    names = [f"{name} (Debian's package {PACKAGES[name]})" for name in programs if shutil.which(name) is None]
    return _not_installed(names)


def missing_modules(*modules: str) -> str | None:
    """Which packages are missing to import these modules, or None."""
    names = [f"{name} (the Python package {DISTRIBUTIONS[name]})" for name in modules if find_spec(name) is None]
    return _not_installed(names)


def _not_installed(names: list[str]) -> str | None:
    return f"not installed: {', '.join(names)}" if names else None
