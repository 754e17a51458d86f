"""Subscribers as values, for property tests."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address
from typing import Any

import attrs
from hypothesis import strategies as st

from realmgw.config.ipv6 import Ipv6Mode
from realmgw.config.settings import NameServer, Zone
from realmgw.config.terms import Look
from realmgw.subscribers.entry import Entry, Offer
from realmgw.subscribers.firewall import Direction, Rule, Target, firewall
from realmgw.subscribers.model import Identity, Profile, Terms

SERVERS = (NameServer("ns.example.org.", (IPv4Address("192.0.2.1"),)),)
ZONES = (
    Zone("example.org.", SERVERS, "admin.example.org.", (IPv4Address("192.0.2.1"),)),
    Zone("0.168.192.in-addr.arpa.", SERVERS, "admin.example.org."),
)

NAMES = st.integers(0, 999).map(lambda number: f"_h-{number}.example.org.")
ADDRESSES = st.integers(0xC0A80001, 0xC0A8FFFE).map(IPv4Address)
ADDRESSES6 = st.integers(0x20010DB8 << 96, (0x20010DB9 << 96) - 1).map(IPv6Address)
OWN: st.SearchStrategy[tuple[IPv4Address | None, IPv6Address | None]] = st.one_of(
    st.tuples(ADDRESSES, st.none()), st.tuples(st.none(), ADDRESSES6), st.tuples(ADDRESSES, ADDRESSES6)
)
"""The addresses of a host: of one family, or of both."""
_PROTOCOLS = st.sampled_from([0, 6, 17, 41, 132])


def _tuples(items: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(items, max_size=3).map(tuple)


TERMS = st.builds(
    Terms,
    protocol=_PROTOCOLS,
    port=st.integers(0, 65535),
    proxy_required=st.booleans(),
    http_port=st.integers(1, 65535),
    https_port=st.integers(1, 65535),
    https_redirect=st.booleans(),
    proxy_protocol=st.booleans(),
    tls_termination=st.booleans(),
    http_health=st.sampled_from([None, *Look]),
    https_health=st.sampled_from([None, *Look]),
    health_path=st.sampled_from(["/", "/health?of=all"]),
    carriergrade=st.booleans(),
    loose_packet=st.integers(-1, 9),
    autobind=st.booleans(),
    timeout=st.floats(0.1, 3600.0),
)
_PARTS = _tuples(
    st.sampled_from(
        [
            ("hashlimit", (("hashlimit-above", ("5/sec",)), ("hashlimit-name", ("a",)))),
            ("tcp", (("dport", ("80", "443", "1000:")), ("tcp-flags", ("!", "FIN,SYN", "NONE")))),
            ("connlimit", (("connlimit-above", ("9",)), ("connlimit-daddr", ()))),
            ("state", (("state", ("NEW", "RELATED")),)),
        ]
    )
).map(lambda parts: tuple(dict(parts).items()))
_OPTIONS = {
    Target.REJECT: [(), (("reject-with", ("tcp-reset",)),), (("reject-with", ("icmp-adm-prohibited",)),)],
    Target.LOG: [(), (("log-prefix", ("x: ",)),), (("log-prefix", ('$a "b\\',)),)],
}


def _with_options(rule: Rule) -> st.SearchStrategy[Rule]:
    """The same with options that its target has."""
    options = st.sampled_from(_OPTIONS.get(rule.target, [()]))
    return options.map(lambda said: attrs.evolve(rule, target_options=said))


RULES = st.builds(
    Rule,
    st.integers(0, 65535),
    st.sampled_from(Direction),
    st.sampled_from(Target),
    st.just(6),
    st.none() | ADDRESSES.map(IPv4Network),
    st.none() | ADDRESSES.map(IPv4Network),
    _PARTS,
    comment=st.sampled_from(["", "x", "a: 'b' # \"c\"", "\u00fc", "~"]),
).flatmap(_with_options)
IDENTITIES = st.builds(
    Identity,
    _tuples(NAMES),
    _tuples((ADDRESSES | ADDRESSES6).map(lambda address: address.packed)),
    _tuples(st.integers(100, 10**9).map(lambda number: f"+{number}")),
)
PROFILES = st.builds(
    Profile,
    st.integers(0, 1000),
    _tuples(st.sampled_from(["PREPAID", "a b", "no", "1", "x: y", "- z"])),
    st.builds(firewall, _tuples(RULES), _tuples(RULES)),
    _tuples(ADDRESSES),
    st.none() | st.sampled_from(Ipv6Mode),
)
ENTRIES = st.builds(
    lambda own, name, *said: Entry(name, own[0], said[0], said[1], said[2], own[1]),
    OWN,
    NAMES,
    st.lists(st.builds(Offer, NAMES, TERMS), max_size=4, unique_by=lambda offer: offer.name).map(tuple),
    PROFILES,
    IDENTITIES,
)
