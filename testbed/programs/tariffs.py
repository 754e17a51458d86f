"""What the network policy costs a packet: of flows that go on, and of flows that begin, with few subscribers and many.

    python -m testbed.programs.tariffs [--rounds N] [--streams] [--write docs/firewall.md]

First, one TCP connection from a LAN to the WAN, in turn through a gateway that only forwards, one that also translates,
and two with 1 000 subscribers, the usual stages or all; where the kernel has flowtables, through one, too, with all
stages but marks. Segments are as large as the kernel makes them, then of 1 500 octets. Then packets of all subscribers
in turn, each of which begins a flow, as fast as one process sends them; what a gateway does with them is done on their
way. There are 10, 1 000 and 100 000 subscribers of 20 tariffs of four rules, and the same rules in iptables, with two
jump rules and a chain for each host. The last rule drops: no flow stays.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from ipaddress import IPv4Address, ip_network
from pathlib import Path

import attrs

from realmgw.config.document import Problems, parse
from realmgw.config.files import filling
from realmgw.config.policy_schema import POLICY
from realmgw.config.settings import Attachment, Datapath, Interfaces, Offload, PoolPrefix, Pools, Settings
from realmgw.config.steps import finish
from realmgw.datapath.apply import Kernel
from realmgw.errors import RealmGatewayError
from realmgw.subscribers.firewall import Direction, Firewall, Rule, Target, firewall
from realmgw.subscribers.model import Host, Profile
from testbed.load import generator, stream
from testbed.load.generator import Strays
from testbed.measuring import cpu_noise, figures
from testbed.measuring.rounds import Verdict
from testbed.realm.topology import GATEWAY, GATEWAY_LAN, ROUTED, ROUTER_WAN, Testbed, TestbedError

TARIFFS = 20
"""So many different sets of rules."""
SUBSCRIBERS = (10, 1_000, 100_000)
"""How many hosts have them."""
FIRST = IPv4Address("10.0.0.1")
"""The first subscriber's address; the others have the next ones."""
NETWORK = "10.0.0.0/8"
"""Where they are."""
AS_FAST = 1_000_000.0
"""Packets a second, more than can be sent."""
STREAM_TARGET, FLOWS_TARGET = 0.97, 0.05
"""Least share of plain forwarding's throughput; how much a packet may cost more or less with more subscribers."""
COUNTED = 0.98
"""Least part of the packets sent that the rules have to have dropped, so that the figure means anything."""

PIPELINE = b"""
pipeline:
  marking: true
  preemptive:
    checks: [management, black_list, white_list, sources, flags, not_syn, invalid, ports, new_rates, rules]
    black_list: {prefixes: [203.0.113.0/24, '2001:db8:5::/48']}
    white_list: {prefixes: [198.51.100.0/24]}
    sources: [{interface: lan0, fib: true}, {interface: wan0, refused: [10.0.0.0/8, 'fc00::/7']}]
    new_rates: [{interface: lan0, rate: 1000000, burst: 1000000}]
  services:
    dhcp: {wan: drop}
    http: {wan: drop}
    dns: {rate: 25, lan_rate: 200}
    others: {wan: drop}
  segments: [{interface: wan0}]
"""
"""All stages; nobody meets the rate."""
NAT = """
table ip nat {
    chain outbound { type nat hook postrouting priority srcnat; oifname "wan0" masquerade; }
    chain forwarding { type filter hook forward priority filter; policy drop
        ct state established,related accept; iifname "lan0" accept; }
}
"""
"""What any router has that hides a network behind its address."""


@attrs.frozen
class Case:
    """A gateway."""

    title: str
    """What the table calls it."""
    subscribers: int = 0
    """How many it has."""
    program: str = ""
    """What has their rules, or other ones; empty: classes in the gateway's table, or nothing where there are none."""
    usual: bool = False
    """Whether there are the stages only that there are when nothing is said."""
    carried: bool = False
    """Whether established flows leave the chains for a flowtable; marks, which each packet has, are switched off."""


PLAIN = Case("forwarding only")
USUAL = Case("1000 subscribers, usual stages", 1000, usual=True)
CARRIED = Case("1000 subscribers, all stages but marks, a flowtable", 1000, carried=True)
TRANSLATING = Case("conntrack and masquerading only", program="nft")
CLASSES = tuple(Case(f"{count} subscribers, classes", count) for count in SUBSCRIBERS)


def iptables() -> Iterator[Case]:
    """Those with iptables, of whichever kinds this machine has."""
    for program in ("iptables-nft", "iptables-legacy"):
        for count in SUBSCRIBERS[:2]:
            yield Case(f"{count} subscribers, {program}", count, program)


def tariff(number: int) -> Firewall:
    """A set of rules; what is UDP is dropped by the last one."""
    egress = partial(Rule, direction=Direction.EGRESS, target=Target.DROP)
    ports = (("tcp", 25), ("tcp", 1000 + number), ("udp", 53))
    rules = [
        egress(priority, protocol={"tcp": 6, "udp": 17}[word], parts=((word, (("dport", (str(port),)),)),))
        for priority, (word, port) in enumerate(ports)
    ]
    return firewall((), (*rules, egress(len(rules), protocol=17)))


def hosts(count: int, sender: str) -> list[Host]:
    """Subscribers, and one more who is sent from by TCP."""
    tariffs = [tariff(number) for number in range(TARIFFS)]
    addresses = [IPv4Address(sender), *(FIRST + number for number in range(count))]
    return [
        Host(
            index=index,
            name=f"ue{index}.example.org.",
            address=address.packed,
            profile=Profile(max_claims=1, firewall=tariffs[index % TARIFFS]),
        )
        for index, address in enumerate(addresses, 1)
    ]


def settings(testbed: Testbed, case: Case) -> Settings:
    """The gateway's, with all stages, or with the usual ones."""
    problems = Problems("tariffs")
    root = parse(PIPELINE, problems)
    policy = root and POLICY(root, problems)
    if not policy:
        raise TestbedError("\n".join(problems.lines()))
    made = Settings(
        name="gwa",
        zones=(),
        interfaces=Interfaces(wan="wan0", lan=("lan0",)),
        pools=Pools(circular=(PoolPrefix(ip_network(ROUTED), Attachment.ROUTED),)),
        state=testbed.folder,
    )
    if case.carried:
        made = attrs.evolve(made, datapath=Datapath(offload=Offload.SOFTWARE))
        policy = attrs.evolve(policy, pipeline=attrs.evolve(policy.pipeline, marking=False))
    return made if case.usual else finish(filling(attrs.evolve(made, policy=policy), problems))


def for_iptables(count: int) -> str:
    """The same rules as `iptables-restore` reads them: for each host two jump rules, and a chain."""
    lines = ["*filter", ":FORWARD ACCEPT [0:0]", ":CUSTOMER_POLICY - [0:0]"]
    lines += [f":HOST_{number} - [0:0]" for number in range(count)]
    lines += ["-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", "-A FORWARD -j CUSTOMER_POLICY"]
    for number in range(count):
        address, chain = FIRST + number, f"HOST_{number}"
        lines.append(f"-A CUSTOMER_POLICY -i lan0 -s {address} -j {chain}")
        lines.append(f"-A CUSTOMER_POLICY -o lan0 -d {address} -j {chain}")
        lines += [f"-A {chain} -p tcp --dport {port} -j DROP" for port in (25, 1000 + number % TARIFFS)]
        lines += [f"-A {chain} -p udp --dport 53 -j DROP", f"-A {chain} -p udp -j DROP"]
    return "".join(f"{line}\n" for line in (*lines, "COMMIT"))


class Realm:
    """A gateway of a case, in a testbed of its own.

    Args:
        case: Which.
        prefix: Of the testbed.
    """

    def __init__(self, case: Case, prefix: str) -> None:
        self.case = case
        self.testbed = Testbed(prefix)
        self._kernel: Kernel | None = None

    def __enter__(self) -> Realm:
        """Builds it.

        Raises:
            TestbedError: The machine lacks what it needs.
        """
        self.testbed.__enter__()
        try:
            self._place()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Takes it down."""
        if self._kernel is not None:
            self._kernel.close()
        self.testbed.close()

    def _place(self) -> None:
        self._must("gwa", "ip", "route", "add", NETWORK, "dev", "lan0")
        self._must("router", "ip", "route", "add", str(ip_network(f"{GATEWAY_LAN}/24", strict=False)), "via", GATEWAY)
        self._must("gwa", "sysctl", "-qw", "net.ipv4.ip_forward=1")
        if self.case is TRANSLATING:
            self._must("gwa", "nft", NAT)
        elif self.case.program:
            file = self.testbed.folder / "rules"
            file.write_text(for_iptables(self.case.subscribers))
            self._must("gwa", f"{self.case.program}-restore", str(file))
        elif self.case.subscribers:
            self._kernel = Kernel(settings(self.testbed, self.case))
            try:
                some = hosts(self.case.subscribers, self.testbed.hosts[0])
                applied = self.testbed.call("gwa", self._kernel.apply, some)
            except RealmGatewayError as error:
                raise TestbedError(f"{self.case.title}: {error}") from error
            if self.case.carried and not applied.found.flowtables:
                raise TestbedError(f"{self.case.title}: this kernel has no flowtables")

    def _must(self, namespace: str, *words: str) -> None:
        done = self.testbed.run(namespace, words)
        if done.returncode:
            raise TestbedError(f"{self.case.title}: {' '.join(words)}: {done.stderr.strip()[:200]}")

    def offload(self, is_on: bool) -> None:
        """Whether segments are as large as the kernel makes them, on all interfaces on the way."""
        word = "on" if is_on else "off"
        for namespace, interface in (("router", "gwa"), ("gwa", "wan0"), ("gwa", "lan0"), ("test_gwa", "eth0")):
            self._must(namespace, "ethtool", "-K", interface, "tso", word, "gso", word, "gro", word, "tx", word)

    def stream(self, seconds: float) -> float:
        """How many octets a second one connection from the LAN to the WAN carries."""
        return stream.octets(self.testbed, seconds)

    def flows(self, seconds: float) -> float:
        """How many packets a second one process sends, each of which begins a flow.

        Raises:
            TestbedError: The rules have not met them.
        """
        before = self._dropped()
        sources = f"{FIRST}+{self.case.subscribers or max(SUBSCRIBERS)}"
        strays = Strays(targets=f"{ROUTER_WAN}+1", sources=sources, rate=AS_FAST, seconds=seconds, kind="udp")
        sent = generator.end_of_strays(generator.start_strays(self.testbed, strays, "test_gwa"))
        if self._kernel is not None and self._dropped() - before < COUNTED * sent:
            raise TestbedError(f"{self.case.title}: of {sent} packets {self._dropped() - before} met the rules")
        return sent / seconds

    def _dropped(self) -> int:
        if self._kernel is None:
            return 0
        return self.testbed.call("gwa", self._kernel.figures)[0]["forbidden"].packets


Found = Mapping[str, Sequence[float]]
"""What each round has given, by the title of the case."""


@attrs.frozen
class Measured:
    """All rounds."""

    streams: Mapping[str, Found]
    """Octets a second, by how packets are."""
    flows: Found
    """Packets a second."""
    others: float
    """What others used of the machine meanwhile, in cores; the kernel's own work for packets is part of it."""


def ratios(found: Found, title: str, to: str) -> list[float]:
    """What a case has by what another one has, of each round."""
    return [one / other for one, other in zip(found[title], found[to], strict=True)]


def measure(
    rounds: int,
    seconds: float,
    prefix: str = "tariff-",
    cases: Sequence[Case] | None = None,
    *,
    streams_only: bool = False,
) -> Measured:
    """Measures all cases, in turn in each round.

    Args:
        rounds: How many.
        seconds: Of one measurement.
        prefix: Of the testbeds.
        cases: Them, the first of which only forwards; None: all that this machine has.
        streams_only: Only what goes on is measured.
    """
    generator.build()
    streams: dict[str, dict[str, list[float]]] = {"as large as can be": {}, "1 500 octets": {}}
    flows: dict[str, list[float]] = {}
    with contextlib.ExitStack() as stack, cpu_noise.Watch(()) as watch:
        wanted = enumerate(cases or (PLAIN, *(CLASSES[:2] if streams_only else CLASSES)))
        realms = [stack.enter_context(Realm(case, f"{prefix}{at}-")) for at, case in wanted]
        nat, usual = (stack.enter_context(Realm(each, f"{prefix}{each.program}b-")) for each in (TRANSLATING, USUAL))
        between = [nat, usual]
        with contextlib.suppress(TestbedError):  # this kernel does not have it
            between.append(stack.enter_context(Realm(CARRIED, f"{prefix}c-")))
        for at, case in enumerate(() if cases or streams_only else iptables()):
            with contextlib.suppress(TestbedError):  # this kernel does not have it
                realms.append(stack.enter_context(Realm(case, f"{prefix}x{at}-")))
        going_on = (realms[0], *between, realms[min(2, len(realms) - 1)])
        for title, found in streams.items():
            for each in going_on:
                each.offload(title == "as large as can be")
            for number in range(rounds):
                print(f"    {title}: round {number + 1} of {rounds}", file=sys.stderr)
                for each in going_on:
                    found.setdefault(each.case.title, []).append(each.stream(seconds))
        for _ in range(0 if streams_only else rounds):
            for each in realms:
                flows.setdefault(each.case.title, []).append(each.flows(seconds))
    return Measured(streams, flows, watch.others)


def judge(measured: Measured) -> list[Verdict]:
    """Whether the targets are met."""
    verdicts = []
    for title, found in measured.streams.items():
        plain, *_, last = found
        ours = CARRIED.title if CARRIED.title in found else last  # by chains alone nothing that translates has as much
        share = statistics.median(ratios(found, ours, plain))
        target = f"TCP that goes on, packets {title}: at least {STREAM_TARGET:.0%} of forwarding only, by {ours}"
        verdicts.append(Verdict(target, f"{share:.1%}", share >= STREAM_TARGET))
    first = CLASSES[0].title
    for case in CLASSES[1:]:
        if case.title in measured.flows:
            share = statistics.median(ratios(measured.flows, case.title, first))
            verdicts.append(Verdict(f"flows that begin, {case.subscribers} hosts: within {FLOWS_TARGET:.0%} of 10",
                                    f"{share:.1%}", abs(share - 1) <= FLOWS_TARGET))  # fmt: skip
    return verdicts


def report(measured: Measured, rounds: int, seconds: float) -> str:
    """The tables, in Markdown."""
    rows = [
        [f"TCP that goes on, packets {how}", title, f"{statistics.median(found) * 8 / 1e9:.2f} Gbit/s",
         _told(ratios(every, title, next(iter(every))))]
        for how, every in measured.streams.items() for title, found in every.items()
    ]  # fmt: skip
    base = CLASSES[0].title if CLASSES[0].title in measured.flows else next(iter(measured.flows), "")
    rows += [
        ["flows that begin", title, f"{statistics.median(found):.0f} packets/s",
         _told(ratios(measured.flows, title, base))]
        for title, found in measured.flows.items()
    ]  # fmt: skip
    verdicts = [[each.target, each.figure, figures.met(each.met)] for each in judge(measured)]
    head = ["what", "gateway", "median", "share: median (lowest to highest)"]
    ends = (
        f"{rounds} rounds of {seconds:g} s, all in turn; others and the kernel's own work: {measured.others:.2f} cores."
    )
    return "\n".join(
        (figures.table(head, rows), figures.table(["target", "figure", "met"], verdicts), figures.machine(), ends)
    )


def _told(shares: Sequence[float]) -> str:
    return f"{statistics.median(shares):.1%} ({min(shares):.1%} to {max(shares):.1%})"


def main() -> int:
    """Runs it; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--seconds", type=float, default=1.0, help="of one measurement [%(default)s]")
    parser.add_argument("--rounds", type=int, default=7, help="of each case [%(default)s]")
    parser.add_argument("--streams", action="store_true", help="measure only what goes on")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the tables into their place in this document")
    options = parser.parse_args()

    def measured() -> tuple[str, bool]:
        found = measure(options.rounds, options.seconds, streams_only=options.streams)
        return report(found, options.rounds, options.seconds), all(each.met for each in judge(found))

    return figures.publish("tariffs", measured, options.write, "tariffs")


if __name__ == "__main__":
    raise SystemExit(main())
