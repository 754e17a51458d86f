"""Tests for `realmgw.config.writing`."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from typing import Any

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config import schema
from realmgw.config.addresses import AddressRange
from realmgw.config.consistency import unused
from realmgw.config.dns import ForwardProcess
from realmgw.config.document import Problems, parse
from realmgw.config.pipeline import Group, Pipeline
from realmgw.config.rules import Direction, Rule, StageRule, Target
from realmgw.config.settings import (
    Address,
    Admission,
    Allocation,
    Attachment,
    Audit,
    Challenges,
    Combination,
    Control,
    Cookies,
    Datapath,
    Dnat,
    Dns,
    Dns64,
    DnsView,
    FlowRecords,
    Forwarding,
    Interfaces,
    Ipv6,
    Ipv6Mode,
    Leave6,
    LoadBand,
    LogFormat,
    Logging,
    LogLevel,
    Metrics,
    NameServer,
    Nflog,
    Outbound6,
    Peer,
    Policy,
    PolicyStage,
    PoolPrefix,
    Pools,
    PrefixMode,
    RateLimit,
    Refusal,
    Repository,
    Resolver,
    ResolverGroup,
    Settings,
    Synproxy,
    Timeouts,
    UnknownHosts,
    UpdateView,
    Watch,
    Webproxy,
    Zone,
)
from realmgw.config.writing import Change, differences, dump
from realmgw.system.endpoints import Endpoint
from realmgw.test.config.test_schema import MINIMAL
from realmgw.test.config.test_schema import settings as read

_labels = st.from_regex(r"[a-z0-9_]([a-z0-9-]{0,6}[a-z0-9])?", fullmatch=True)
_names = st.lists(_labels, min_size=1, max_size=4).map(lambda labels: ".".join(labels) + ".")
_ipv4 = (
    st.integers(0x01000000, 0xDFFFFFFF)
    .map(IPv4Address)
    .filter(lambda address: not (address.is_loopback or address.is_link_local))
)
_addresses: st.SearchStrategy[Address] = st.one_of(_ipv4, st.integers(2**64, 2**120 - 1).map(IPv6Address))
_endpoints = st.builds(Endpoint, _addresses, st.integers(1, 65535))
_texts = st.text(min_size=1, max_size=12)
_paths = _texts.filter(lambda text: "\0" not in text).map(Path)
_booleans = st.booleans()
_shares = st.floats(0.0, 1.0)
_schedules = st.lists(st.floats(0.01, 60.0), min_size=1, max_size=3).map(tuple)
_networks = _ipv4.map(lambda address: IPv4Network((int(address) & ~0xFF, 24)))
_ipv6 = st.integers(0x2000 << 112, (0x4000 << 112) - 1).map(IPv6Address)
_networks6 = st.builds(
    lambda address, bits: IPv6Network((int(address) >> (128 - bits) << (128 - bits), bits)), _ipv6, st.integers(16, 96)
)
_one_or_each = st.tuples(_ipv4) | st.tuples(_ipv6) | st.tuples(_ipv4, _ipv6)


def _tuples(items: st.SearchStrategy[Any], min_size: int = 0) -> st.SearchStrategy[Any]:
    return st.lists(items, min_size=min_size, max_size=3).map(tuple)


_faces = st.builds(
    DnsView, _tuples(_endpoints, min_size=1), st.floats(0.1, 3600.0), st.integers(1, 100_000), st.integers(1, 100_000)
)
_names_of_certificates = _names.map(lambda name: name.removesuffix("."))


def _peers(kind: type[Peer]) -> st.SearchStrategy[Any]:
    """Servers that we speak to, each once."""
    every = st.builds(kind, _endpoints, st.none() | _names_of_certificates)
    return st.lists(every, max_size=3, unique_by=lambda each: each.endpoint).map(tuple)


def _signers(peers: tuple[Peer, ...]) -> st.SearchStrategy[Any]:
    """What certificates are signed by: nothing, where nobody is spoken to by TLS."""
    return st.none() if peers and all(each.name is None for each in peers) else st.none() | _paths


_dns64 = st.just(Dns64()) | st.builds(
    Dns64, st.sampled_from([IPv6Network("64:ff9b::/96"), IPv6Network("2001:db8::/32")]), _tuples(_networks)
)
_kept = st.tuples(st.integers(1, 2**34), st.floats(0.0, 3600.0)) | st.just((0, 0.0))
"""How much is kept of answers, and for how long after their end: not at all, where there is no room."""
_forwarding = st.tuples(_peers(Resolver), _kept).flatmap(
    lambda pair: st.builds(
        Forwarding,
        st.just(pair[0]),
        st.builds(Timeouts, _schedules, *[st.none() | _schedules for _ in attrs.fields(Timeouts)[1:]]),
        _signers(pair[0]),
        internal=_tuples(_names),
        cache=st.just(pair[1][0]),
        prefetch=_booleans,
        stale=st.just(pair[1][1]),
        client_subnet=_booleans,
        dns64=_dns64,
        process=st.sampled_from(ForwardProcess),
    )
)
_synproxies = _peers(Peer).flatmap(
    lambda peers: st.builds(
        Synproxy,
        st.just(peers),
        _signers(peers),
        ipv6=st.none() | _booleans,
        sack=_booleans,
        window_scale=st.integers(0, 14),
    )
)
_loopback = st.builds(Endpoint, st.sampled_from([IPv4Address("127.0.0.1"), IPv6Address("::1")]), st.integers(1, 65535))
_metrics = (
    st.builds(Metrics, _tuples(_loopback))
    | st.builds(Metrics, _tuples(st.sampled_from([Path("/a"), Path("/b")]), min_size=1), group=st.just("operators"))
    | st.builds(Metrics, _tuples(st.builds(Endpoint, _ipv4, st.just(9000)), min_size=1), st.tuples(_networks))
)
_challenges = st.builds(Challenges, *[_booleans for _ in attrs.fields(Challenges)])
_servers = st.builds(NameServer, _names, st.just(()) | _one_or_each)
_zones = st.builds(
    Zone,
    _names,
    st.lists(_servers, min_size=1, max_size=3, unique_by=lambda each: each.name).map(tuple),
    _names,
    st.just(()) | _one_or_each,
    st.integers(0, 604_800),
    st.integers(0, 604_800),
    _booleans,
    st.none() | _challenges,
)  # fmt: skip
_dns = st.builds(
    Dns,
    wan=_faces,
    lan=_faces,
    local=_faces,
    update=st.builds(UpdateView, key_file=st.none())
    | st.builds(UpdateView, listen=_tuples(_endpoints), key_file=_paths),
    forward=_forwarding,
    udp_size=st.integers(512, 1232),
    cookies=st.builds(Cookies, _booleans, st.none(), st.floats(60.0, 1e6)) | st.builds(Cookies, _booleans, _paths),
    rate_limit=st.builds(
        RateLimit,
        st.integers(0, 10**6),
        st.integers(0, 1000),
        st.integers(8, 32),
        st.integers(16, 128),
        _tuples(_networks),
    ),
)
_bands = st.floats(0.0, 50.0).flatmap(
    lambda low: st.builds(
        LoadBand, st.just(low), st.floats(low, 100.0), _shares, _shares, _shares, st.sampled_from(Combination)
    )
)
_rules = st.builds(
    Rule, st.just(7), st.sampled_from(Direction), st.sampled_from(Target), st.none() | st.sampled_from([6, 47]),
    src=st.none() | _networks, comment=st.text("a \"}'", max_size=3).map(str.strip),
)  # fmt: skip
_agreeing = st.lists(_rules, max_size=3, unique_by=lambda rule: attrs.evolve(rule, target=Target.DROP, comment="")).map(
    lambda rules: tuple(map(StageRule, rules))
)
"""No two are of the same packets: with other targets they contradict, and are refused."""
_pipelines = st.lists(
    st.builds(Group, st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,5}", fullmatch=True), _agreeing),
    max_size=3, unique_by=lambda group: group.name,
).map(lambda groups: Pipeline(groups=tuple(groups)))  # fmt: skip
_policies = st.builds(
    Policy,
    st.none() | st.integers(1, 2**31 - 1),
    _tuples(_bands).map(lambda bands: bands and (LoadBand(0.0, 100.0, 1.0, 1.0, 1.0), *bands)),
    _challenges,
    _tuples(st.builds(ResolverGroup, _tuples(_networks, min_size=1), _shares, _booleans, _booleans)),
    st.sampled_from(Refusal),
    st.lists(st.sampled_from(Audit), unique=True).map(tuple),
    _pipelines,
)
_urls = st.sampled_from(["https://policy.example.org/a", "http://192.0.2.1:8082", "https://[2001:db8::1]:1/x%20y"])
_gateways = st.builds(
    Settings,
    name=_names,
    zones=st.lists(_zones, min_size=1, max_size=3, unique_by=lambda zone: zone.name).map(tuple),
    interfaces=st.builds(Interfaces, st.sampled_from(["wan0", "no", "1", "~x"]), _tuples(st.just("lan0"), min_size=1)),
    pools=st.builds(
        Pools,
        _tuples(st.builds(PoolPrefix, _networks | _networks6, st.sampled_from(Attachment)), min_size=1),
        _tuples(_ipv4 | _ipv6),
        st.none() | st.tuples(_ipv4, _ipv4).map(lambda pair: AddressRange(min(pair), max(pair))),
    ),
    ipv6=st.builds(
        Ipv6,
        st.sampled_from(Ipv6Mode),
        _tuples(st.builds(PrefixMode, _networks6, st.sampled_from(Ipv6Mode))),
        _tuples(
            st.builds(
                Outbound6, st.just("lan0"), st.sampled_from(Leave6), st.none() | _networks6, st.none() | _networks6
            )
        ),
        st.floats(0.0, 3600.0),
        resolver_prefix=st.integers(32, 128),
    ),
    dns=_dns,
    allocation=st.builds(Allocation, share_load=_shares, linger=st.floats(0.0, 3600.0)),
    admission=st.builds(Admission, queue=st.integers(0, 65535)),
    datapath=st.builds(
        Datapath,
        dnat=st.sampled_from(Dnat),
        unknown_hosts=st.sampled_from(UnknownHosts),
        policy_order=_tuples(st.sampled_from(PolicyStage)),
        network_api=st.none() | _urls,
        log=st.builds(Nflog, st.integers(0, 65_535), snaplen=st.integers(20, 65_535)),
    ),
    subscribers=_tuples(_paths),
    policies=_tuples(_paths),
    drop_ins=_tuples(_paths),
    state=_paths,
    policy=_policies,
    repository=st.builds(
        Repository, st.none() | _urls, st.none() | _paths, st.none() | _paths, st.sampled_from(Watch), cache=_booleans
    ),
    synproxy=_synproxies,
    webproxy=st.builds(Webproxy, _booleans, certificates=st.none() | _paths, connections=st.integers(1, 1_000_000)),
    flow_records=st.builds(FlowRecords, _booleans, st.none() | _paths, days=st.floats(0.01, 3650.0)),
    metrics=_metrics,
    control=st.builds(Control, _paths, st.none() | st.just("operators")),
    logging=st.builds(
        Logging,
        st.sampled_from(LogLevel),
        st.dictionaries(st.sampled_from(["dns", "dns.server"]), st.sampled_from(LogLevel)).map(
            lambda levels: tuple(levels.items())
        ),
        st.sampled_from(LogFormat),
        st.integers(0, 10**9),
        st.integers(0, 9),
    ),
)


class DumpTests(SynchronousTestCase):
    """`dump` writes main files."""

    @settings(max_examples=150, deadline=None)
    @given(_gateways)
    def test_what_is_written_is_read_as_the_same(self, gateway: Settings) -> None:
        """Whatever the settings are."""
        if 0 < len(set(gateway.datapath.policy_order)) < len(PolicyStage):
            without = attrs.evolve(gateway.policy, pipeline=Pipeline())
            gateway = attrs.evolve(gateway, policy=without)  # what is written for the others is of no use, and refused
        problems = Problems("f")
        root = parse(dump(gateway).encode(), problems)
        assert root is not None, problems.lines()
        self.assertEqual(schema.GATEWAY(root, problems), gateway, problems.lines())
        told = [found for part in unused.PARTS for found in part(problems) if found is not None]
        self.assertEqual(told, [], dump(gateway))

    def test_texts_that_look_like_something_else_are_quoted(self) -> None:
        """For the sake of other readers of YAML; an address is none of them."""
        written = dump(read(MINIMAL.replace("wan0", "'no'")))
        self.assertIn('wan: "no"\n', written)
        self.assertIn("ns.example.org: 192.0.2.1\n", written)

    def test_pairs_are_written_by_what_they_are(self) -> None:
        """Ranges as ranges, lists as lists, whatever their keys are called."""
        text = MINIMAL.replace("pools: {", "pools: {outbound: 203.0.113.1-203.0.113.9, ").replace(
            "contact:", "address: ['2001:db8::1', 192.0.2.1], contact:"
        )
        written = dump(read(text + "ipv6: {outbound: [{lan: lan0, leave: nat66}]}\n"))
        self.assertIn("  outbound: 203.0.113.1-203.0.113.9\n", written.replace('"', ""))
        self.assertIn('address: [192.0.2.1, "2001:db8::1"]\n', written)
        self.assertIn("  outbound:\n    - {lan: lan0, leave: nat66}\n", written)


class DifferencesTests(SynchronousTestCase):
    """`differences` tells which keys have another value."""

    def test_there_are_none_between_equal_settings(self) -> None:
        """Even if they were read twice."""
        self.assertEqual(differences(read(MINIMAL), read(MINIMAL)), ())

    def test_tells_keys_by_their_path(self) -> None:
        """With both values on one line; lists as a whole."""
        old = read(MINIMAL)
        new = read(MINIMAL.replace("[192.0.2.1]}", "[192.0.2.1, 192.0.2.2], tcp_connections: 9}"))
        self.assertEqual(
            differences(old, new),
            (
                Change("dns.wan.listen", '["192.0.2.1:53"]', '["192.0.2.1:53", "192.0.2.2:53"]'),
                Change("dns.wan.tcp_connections", "1000", "9"),
            ),
        )

    def test_tells_keys_that_come_and_go(self) -> None:
        """None stands for the side where the key is not."""
        old = read(MINIMAL.replace("contact: admin.example.org", "contact: admin.example.org, address: 192.0.2.1"))
        new = read(MINIMAL + "synproxy: {ca_file: /a}\n")
        self.assertEqual(
            differences(old, new),
            (
                Change("synproxy.ca_file", None, "/a"),
                Change("zones.example.org.address", "192.0.2.1", None),
            ),
        )
