"""Tests for `realmgw.control.findings`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from realmgw.control import findings
from realmgw.control.findings import Finding, State, command_of
from realmgw.datapath.machine import capabilities, sysctls, tuning
from realmgw.errors import PlatformError


class CommandTests(SynchronousTestCase):
    """The command that a message of ours means."""

    def test_of_what_the_kernel_lacks(self) -> None:
        """By the messages themselves, so that another wording is noticed."""
        found = capabilities.Capabilities(1 << capabilities.CAP_NET_ADMIN, 1024)
        lines = capabilities.problems(found)
        self.assertEqual(command_of(lines[1]), "modprobe nft_reject_inet")
        self.assertEqual(
            [command_of(line) for line in lines[-2:]], ["apt install iptables", "modprobe nfnetlink_queue"]
        )

    def test_of_kernel_settings(self) -> None:
        """Those that are reviewed."""
        values = {**sysctls.REQUIRED, sysctls.MAXIMUM: 65536, sysctls.BUCKETS: 1024,
                  "net/ipv4/conf/all/rp_filter": 1}  # fmt: skip
        lines = sysctls.review(values, wan="wan0", on_link=False, default_by_wan=lambda: False)
        self.assertEqual(
            [command_of(line) for line in lines],
            [
                "sysctl -w net.ipv4.conf.wan0.rp_filter=2",
                f"sysctl -w net.netfilter.nf_conntrack_max={sysctls.RECOMMENDED_FLOWS}",
                "sysctl -w net.netfilter.nf_conntrack_buckets=16384",
            ],
        )
        silent = {**sysctls.REQUIRED, "net/ipv4/conf/all/arp_ignore": 1}
        with self.assertRaises(PlatformError) as caught:
            sysctls.review(silent, wan="wan0", on_link=True, default_by_wan=lambda: True)
        self.assertEqual(command_of(str(caught.exception)), "sysctl -w net.ipv4.conf.all.arp_ignore=0")
        with self.assertRaises(PlatformError) as caught:
            sysctls.review({}, wan="wan0", on_link=True, default_by_wan=lambda: True)
        self.assertEqual(command_of(str(caught.exception)), "modprobe nf_conntrack")

    def test_of_what_has_none(self) -> None:
        """Nothing is made up."""
        self.assertEqual(command_of("pools.circular: 192.0.2.1 is the gateway's own address"), "")


class FindingTests(SynchronousTestCase):
    """What is found of single things."""

    def test_nft(self) -> None:
        """From 1.0 on; other versions are not taken for newer ones by their digits."""
        versions = ("1.0.6", "1.10", "10.0", "0.9.8", None)
        states = [findings.nft(each).state for each in versions]
        self.assertEqual(states, [State.OK, State.OK, State.OK, State.WRONG, State.DOUBT])

    def test_what_records_are_made_of(self) -> None:
        """Without events there are none; what the gateway sets by itself is only a note."""
        good = {sysctls.EVENTS: 2, **sysctls.COUNTED}
        account, times = sysctls.COUNTED
        for changed, states in (
            ({}, [State.OK]),
            ({sysctls.EVENTS: 0}, [State.WRONG]),
            ({account: 0}, [State.NOTE]),
            ({account: None, times: 0}, [State.DOUBT, State.NOTE]),
        ):
            found = list(findings.recorded({**good, **changed}))
            self.assertEqual([each.state for each in found], states, changed)
        [wrong] = findings.recorded({**good, sysctls.EVENTS: 0})
        self.assertEqual(wrong.command, "sysctl -w net.netfilter.nf_conntrack_events=2")

    def test_conntrack(self) -> None:
        """Nearly full is wrong: the command gives it twice the room."""
        self.assertIs(findings.conntrack(799, 1000).state, State.OK)
        full = findings.conntrack(800, 1000)
        self.assertEqual((full.state, full.command), (State.WRONG, "sysctl -w net.netfilter.nf_conntrack_max=2000"))
        self.assertEqual(findings.conntrack(None, None).command, "modprobe nf_conntrack")
        self.assertIs(findings.conntrack(0, 0).state, State.WRONG)

    def test_lengths(self) -> None:
        """IPv6 needs its 1280 octets; a LAN that carries more than the WAN is only noted; what is not there is not."""

        def states(*, ipv6: bool = False, **found: int | None) -> list[tuple[State, str]]:
            return [(each.state, each.command) for each in findings.lengths("wan0", found, ipv6=ipv6)]

        self.assertEqual(states(wan0=1500, lan0=1500), [(State.OK, "")])
        self.assertEqual(states(wan0=1492, lan0=1500), [(State.NOTE, "ip link set dev lan0 mtu 1492")])
        self.assertEqual(states(wan0=1000, lan0=1000), [(State.OK, "")])
        wrong = states(wan0=1000, lan0=1500, ipv6=True)
        self.assertEqual(wrong[0], (State.WRONG, "ip link set dev wan0 mtu 1280"))
        self.assertEqual(states(wan0=None, lan0=None), [])

    def test_tuned(self) -> None:
        """What is better than recommended is well; what the kernel does not have, is not missed."""
        well = {each.key: each.wanted for each in tuning.TUNED}
        self.assertEqual([each.state for each in findings.tuned(well)], [State.OK])
        self.assertEqual([each.state for each in findings.tuned({})], [State.OK])
        better = {"net/ipv4/tcp_fin_timeout": (1,), "net/ipv4/ip_local_port_range": (1024, 65535),
                  sysctls.MAXIMUM: (10**7,)}  # fmt: skip
        self.assertEqual([each.state for each in findings.tuned(better)], [State.OK])
        worse = {"net/ipv4/tcp_fin_timeout": (60,), "net/ipv4/ip_local_port_range": (32768, 60999)}
        self.assertEqual(
            [each.command for each in findings.tuned(worse)],
            ["sysctl -w net.ipv4.tcp_fin_timeout=10", "sysctl -w net.ipv4.ip_local_port_range='10240 65535'"],
        )

    def test_files(self) -> None:
        """Negative: any number."""
        self.assertEqual([findings.files(each).state for each in (-1, 500_000, 1024)], [State.OK, State.OK, State.NOTE])

    def test_what_is_wrong_stands_last_with_its_command(self) -> None:
        """And how much of it there is."""
        lines = list(findings.lines([Finding("a", State.WRONG, "no", "mend it"), Finding("bcd", State.OK, "yes")]))
        self.assertEqual(lines[:3], ["ok      bcd  yes", "wrong   a    no", "             # mend it"])
        self.assertEqual(lines[3], "1 of 2 things are not as they should be.")
        self.assertEqual(list(findings.lines([]))[-1], "Nothing is wrong.")
