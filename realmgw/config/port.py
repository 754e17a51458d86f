"""Whether an address and port can be listened at, found by trying, and what to do when it can not. Edge: sockets."""

from __future__ import annotations

import errno
import os
import socket

from realmgw.config.settings import Endpoint

_KINDS = {"UDP": socket.SOCK_DGRAM, "TCP": socket.SOCK_STREAM}
_ADVICE = {
    errno.EADDRINUSE: "another program has it: find it with `ss -{flag}lnp 'sport = :{port}'` and stop it, or listen on"
    " another address (systemd-resolved and dnsmasq like to take port 53)",
    errno.EACCES: "ports below 1024 need CAP_NET_BIND_SERVICE: start as root or grant the capability",
    errno.EPERM: "ports below 1024 need CAP_NET_BIND_SERVICE: start as root or grant the capability",
    errno.EADDRNOTAVAIL: "no interface of this machine has that address: add it, or correct `listen`",
}


def refusal(transport: str, endpoint: Endpoint, number: int) -> str:
    """Why the DNS server can not listen there, and what to do.

    Args:
        transport: UDP or TCP.
        endpoint: Where.
        number: The operating system's error (`errno`).
    """
    advice = _ADVICE.get(number, os.strerror(number)).format(flag=transport[0].lower(), port=endpoint.port)
    return f"DNS can not listen on {transport} {endpoint.address} port {endpoint.port}: {advice}"


def attempt(transport: str, endpoint: Endpoint) -> int:
    """Bind for a moment, as a server would.

    Args:
        transport: UDP or TCP.
        endpoint: Where.

    Returns:
        0 when it is possible, otherwise the operating system's error (`errno`).
    """
    family = socket.AF_INET if endpoint.address.version == 4 else socket.AF_INET6
    with socket.socket(family, _KINDS[transport]) as trial:
        if transport == "TCP":
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((str(endpoint.address), endpoint.port))
        except OSError as error:
            return error.errno or errno.EINVAL
    return 0
