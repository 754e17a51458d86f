"""Which kernel settings are set, refused or warned of."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.settings import Interfaces
from realmgw.datapath.machine import sysctls
from realmgw.datapath.machine.sysctls import Needs
from realmgw.errors import PlatformError

GOOD = {
    sysctls.FORWARDING: 1,
    sysctls.LOOSE: 0,
    sysctls.MAXIMUM: sysctls.RECOMMENDED_FLOWS,
    sysctls.BUCKETS: sysctls.RECOMMENDED_FLOWS,
    **dict.fromkeys((key for key in sysctls.keys("wan0.7") if "/conf/" in key), 0),
}
STRICT = {"net/ipv4/conf/wan0.7/rp_filter": 1}


def review(values: dict[str, int], *, on_link: bool = True, default_by_wan: bool = False) -> tuple[str, ...]:
    """The review of the good values with these over them."""
    merged = {**GOOD, **values}
    return sysctls.review(merged, wan="wan0.7", on_link=on_link, default_by_wan=lambda: default_by_wan)


class ReviewTests(SynchronousTestCase):
    """`review`: each rule."""

    def test_good_values_are_left_alone(self) -> None:
        """Nothing is set, nothing warned of."""
        self.assertEqual(review({}), ())

    def test_what_a_gateway_can_not_be_without_is_set(self) -> None:
        """Forwarding on; no flow picked up in its middle."""
        found = sysctls.required(Interfaces(wan="w", lan=("l",)), Needs())
        forwarding = {f"net/ipv4/conf/{name}/forwarding": 1 for name in "wl"}
        self.assertEqual(found, {sysctls.FORWARDING: 1, sysctls.LOOSE: 0, **forwarding})

    def test_flows_are_counted_where_they_are_recorded(self) -> None:
        """Packets, octets and times; nowhere else, since it costs a little for each packet."""
        interfaces = Interfaces(wan="w", lan=("l",))
        more = sysctls.required(interfaces, Needs(counts=True)).items() - sysctls.required(interfaces, Needs()).items()
        self.assertEqual(dict(more), dict(sysctls.COUNTED))

    def test_ipv6_is_forwarded_where_it_is_in_use(self) -> None:
        """A default route that was advertised stays: its interface heeds routers before forwarding is switched on."""
        interfaces, before = Interfaces(wan="w", lan=("l",)), "net/ipv6/conf/w/accept_ra"
        found = sysctls.required(interfaces, Needs(forwards=True))
        forwarding = {f"net/ipv6/conf/{name}/forwarding": 1 for name in ("all", "w", "l")}
        self.assertEqual({key: value for key, value in found.items() if "ipv6" in key}, forwarding)
        found = sysctls.required(interfaces, Needs(forwards=True, advertised=True))
        of_ipv6 = [key for key in found if "ipv6" in key]
        self.assertEqual((of_ipv6[:2], found[before]), ([before, sysctls.FORWARDING6], 2))
        self.assertNotIn(before, sysctls.required(interfaces, Needs(advertised=True)))

    def test_kernel_without_conntrack_is_refused(self) -> None:
        """The message names the module."""
        with self.assertRaisesRegex(PlatformError, "modprobe nf_conntrack"):
            sysctls.review({sysctls.FORWARDING: 1}, wan="w", on_link=False, default_by_wan=lambda: True)

    def test_silent_arp_is_refused_for_an_on_link_pool_only(self) -> None:
        """Set for all interfaces or for the WAN, it leaves the on-link pool without an answer."""
        for name, written in (("all", "all"), ("wan0.7", "wan0/7")):
            values = {f"net/ipv4/conf/{name}/arp_ignore": 1}
            with self.assertRaisesRegex(PlatformError, rf"net\.ipv4\.conf\.{written}\.arp_ignore is 1"):
                review(values)
            self.assertEqual(review(values, on_link=False), ())

    def test_strict_reverse_path_is_warned_of_without_a_default_route_by_the_wan(self) -> None:
        """With one, every client's way back is the WAN, and strict does no harm."""
        self.assertEqual(review(STRICT, default_by_wan=True), ())
        (warning,) = review(STRICT)
        self.assertIn("set net.ipv4.conf.wan0/7.rp_filter to 2", warning)

    def test_loose_for_all_interfaces_wins_over_strict(self) -> None:
        """The kernel takes the larger value of the two."""
        self.assertEqual(review({**STRICT, "net/ipv4/conf/all/rp_filter": 2}), ())

    def test_small_conntrack_table_is_warned_of(self) -> None:
        """Its size, and its buckets for that size; 0 is no limit."""
        (small,) = review({sysctls.MAXIMUM: 1000})
        self.assertIn("net.netfilter.nf_conntrack_max is 1000", small)
        (slow,) = review({sysctls.BUCKETS: 1024})
        self.assertIn("net.netfilter.nf_conntrack_buckets is 1024", slow)
        self.assertEqual(review({sysctls.MAXIMUM: 0}), ())
