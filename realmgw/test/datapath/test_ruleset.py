"""The ruleset as text; whether a kernel takes it is asked in realmgw.test.kernel."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Network, ip_address, ip_network

import attrs
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from realmgw.config import settings as config
from realmgw.config.addresses import AddressRange
from realmgw.config.settings import Dnat, Webproxy
from realmgw.datapath import bans, elements, guests, marks, outbound6, proxied, ruleset
from realmgw.datapath.batches import ELEMENTS_PER_COMMAND
from realmgw.datapath.policy.classes import Classes
from realmgw.datapath.ruleset import Lent, Ruleset
from realmgw.datapath.watch import guard
from realmgw.errors import ConfigurationError
from realmgw.subscribers.model import Host, Profile
from realmgw.test.checkout import CHECKOUT, NO_CHECKOUT
from realmgw.test.datapath.moves import change

SETTINGS = config.Settings(
    name="gwa",
    zones=(),
    interfaces=config.Interfaces(wan="wan0", lan=("lan0", "lan1.7")),
    pools=config.Pools(
        circular=(
            config.PoolPrefix(ip_network("192.0.2.128/29"), config.Attachment.ON_LINK),
            config.PoolPrefix(ip_network("203.0.113.0/24"), config.Attachment.ROUTED),
        )
    ),
)


POOL6 = config.PoolPrefix(ip_network("2001:db8::/64"), config.Attachment.ROUTED)
DUAL = attrs.evolve(SETTINGS, pools=config.Pools(circular=(*SETTINGS.pools.circular, POOL6)))
NOT_BY_IPV6 = config.Ipv6(outbound=(config.Outbound6("lan1.7", config.Leave6.OFF),))
OF_GUESTS = {name for each in guests.COUNTERS.values() for name in each}
OF_STAGES = {"stage_flags", "stage_dns_unsolicited"}
"""Where nothing is said of them."""
EVERY = {
    *OF_STAGES, *ruleset.COUNTERS, *ruleset.COUNTERS6, *outbound6.COUNTERS, *OF_GUESTS, *proxied.COUNTERS,
    *bans.COUNTERS,
}  # fmt: skip
"""All named counters."""


def host(index: int, address: str) -> Host:
    """A host with that index and address."""
    return Host(
        index=index, name=f"h{index}.example.", address=ip_address(address).packed, profile=Profile(max_claims=1)
    )


def host6(index: int, address6: str, address: str = "") -> Host:
    """A host with an IPv6 address, and perhaps one of IPv4."""
    packed = ip_address(address).packed if address else b""
    return Host(index=index, name=f"h{index}.example.", address=packed, address6=ip_address(address6).packed)


def applied(commands: str, before: dict[str, str]) -> dict[str, str]:
    """What the map of hosts holds after the commands, by a naive reading of them."""
    held = dict(before)
    for line in commands.splitlines():
        verb, inner = line.split()[0], line[line.index("{") + 1 : line.rindex("}")]
        for element in inner.split(","):
            key, _, value = (part.strip() for part in element.partition(":"))
            if verb == "add":
                assert key not in held, "the kernel refuses a second value for a key"
                held[key] = value
            else:
                del held[key]
    return held


class RulesetTests(SynchronousTestCase):
    """`Ruleset.of`: what the settings ask for."""

    def test_outbound_flows_leave_from_the_first_prefix_when_nothing_is_said(self) -> None:
        """Its first and its last address are the range."""
        made = Ruleset.of(SETTINGS, native_queue=False)
        self.assertEqual(made.outbound, (ip_address("192.0.2.128"), ip_address("192.0.2.135")))

    def test_outbound_flows_leave_from_a_whole_range(self) -> None:
        """A range that is kept as several prefixes is one range again for outbound flows; it ends at the first gap."""
        prefixes = tuple(
            config.PoolPrefix(ip_network(text), config.Attachment.ROUTED)
            for text in ("192.0.2.131/32", "192.0.2.132/31", "192.0.2.140/32")
        )
        settings = attrs.evolve(SETTINGS, pools=config.Pools(prefixes))
        made = Ruleset.of(settings, native_queue=False)
        self.assertEqual(made.outbound, (ip_address("192.0.2.131"), ip_address("192.0.2.133")))

    def test_outbound_range_is_taken_when_it_is_given(self) -> None:
        """A single address is written alone, a range with both ends."""
        one, two = ip_address("198.51.100.1"), ip_address("198.51.100.2")
        for outbound, written in (((one, one), "198.51.100.1"), ((one, two), "198.51.100.1-198.51.100.2")):
            made = attrs.evolve(Ruleset.of(SETTINGS, native_queue=False), outbound=outbound)
            self.assertIn(f"snat ip to {written} persistent", ruleset.replacement(made, ()))
            self.assertIn(f"snat ip to {written}:32768-65535 fully-random,persistent", ruleset.replacement(made, ()))

    def test_without_ipv4_nothing_of_it_leaves(self) -> None:
        """A pool of IPv6 alone has no address for it, unless one is given."""
        settings = attrs.evolve(SETTINGS, pools=config.Pools(circular=(POOL6,)))
        made = Ruleset.of(settings, native_queue=False)
        self.assertEqual((made.outbound, made.pool, made.pool6), (None, (), (POOL6.network,)))
        one = IPv4Address("192.0.2.1")
        given = attrs.evolve(settings, pools=attrs.evolve(settings.pools, outbound=AddressRange(one, one)))
        self.assertEqual(Ruleset.of(given, native_queue=False).outbound, (one, one))

    def test_empty_pool_is_refused(self) -> None:
        """Without a pool there is nothing to lend."""
        with self.assertRaisesRegex(ConfigurationError, "pools.circular is empty"):
            Ruleset.of(attrs.evolve(SETTINGS, pools=config.Pools(circular=())), native_queue=False)

    def test_name_that_nft_would_misread_is_refused(self) -> None:
        """No name of a configuration gets into the rules as anything but a name; all bad ones are told at once."""
        made = Ruleset.of(SETTINGS, native_queue=False)
        for bad in ('w"an', "wan*", "", "wan 0", "a" * 16):
            with self.assertRaises(ConfigurationError) as raised:
                attrs.evolve(made, wan=bad, lan=("lan0", bad), table="a;b")
            self.assertEqual(len(raised.exception.problems), 3)


class ReplacementTests(SynchronousTestCase):
    """`replacement`: the transaction that puts the table in place."""

    def setUp(self) -> None:
        self.ruleset = Ruleset.of(SETTINGS, native_queue=False)
        self.text = ruleset.replacement(self.ruleset, [host(1, "192.168.0.100"), host(2, "192.168.0.101")])

    def test_table_is_declared_deleted_and_made(self) -> None:
        """The first two commands make the third work whether there was a table or not."""
        self.assertEqual(
            self.text.splitlines()[:3], ["table inet realmgw", "delete table inet realmgw", "table inet realmgw {"]
        )

    def test_hosts_are_selected_by_the_whole_mark(self) -> None:
        """The map's key is the mark that the verdict sets."""
        self.assertIn(f"add element inet realmgw hosts {{ {marks.admitted(1):#x} : 192.168.0.100, ", self.text)

    def test_many_hosts_are_several_commands_of_the_same_transaction(self) -> None:
        """No host is lost at the seams."""
        count = 2 * ELEMENTS_PER_COMMAND + 1
        text = ruleset.replacement(self.ruleset, (host(index, "192.0.2.1") for index in range(1, count + 1)))
        lines = [line for line in text.splitlines() if line.startswith("add element")]
        self.assertEqual(len(lines), 3)
        self.assertEqual(len(applied("\n".join(lines), {})), count)

    def test_who_is_banned_is_dropped_before_anything_else_is_done(self) -> None:
        """New flows before they are presented, all others where they are forwarded; and only where there are alerts."""
        self.assertNotIn("banned", self.text)
        for settings, families in ((SETTINGS, 1), (DUAL, 2)):
            made = Ruleset.of(attrs.evolve(settings, alerts=config.Alerts()), native_queue=True)
            text = ruleset.replacement(made, ())
            self.check_ends(text)
            self.assertEqual(text.count("flags timeout; }"), families)
            chains = ruleset.texts(made, Classes())
            drops = bans.drops(made.nflog, ipv6=families == 2)
            self.assertEqual(list(chains["first_packet"][:families]), drops)
            self.assertEqual(list(chains["forwarding"][:families]), [f'iifname "wan0" {each}' for each in drops])

    def test_queue_statement_is_there_only_when_the_kernel_has_it(self) -> None:
        """One unknown statement would have the kernel refuse all of it."""
        self.assertNotIn("queue flags", self.text)
        native = Ruleset.of(SETTINGS, native_queue=True)
        self.assertIn("queue flags bypass to 1\n", ruleset.replacement(native, ()))

    def test_every_drop_and_reject_is_counted_by_a_counter_that_is_declared(self) -> None:
        """There is no silent end of a packet but the policy behind the last, counting, rule."""
        text = ruleset.replacement(attrs.evolve(self.ruleset, dnat=Dnat.MARKDNAT), ())
        self.assertEqual(set(re.findall(r'counter name "(\w+)"', text)), {*ruleset.COUNTERS, *OF_STAGES})
        self.check_ends(text)
        used = set(re.findall(r'counter name "(\w+)"', self.text))
        self.assertEqual(used, {*ruleset.COUNTERS, *OF_STAGES} - {"untranslated"})
        self.check_ends(self.text)
        settings = attrs.evolve(DUAL, ipv6=NOT_BY_IPV6, webproxy=Webproxy(enabled=True, runs_as=(108, 110)))
        dual = Ruleset.of(settings, native_queue=True, dnat=Dnat.MARKDNAT, lent=Lent(1, 16))
        both = ruleset.replacement(dual, ())
        self.assertEqual(set(re.findall(r'counter name "(\w+)"', both)), EVERY - OF_GUESTS - bans.COUNTERS.keys())
        self.assertEqual(set(re.findall(r"\n\tcounter (\w+) ", both)), EVERY - OF_GUESTS - bans.COUNTERS.keys())
        self.check_ends(both)

    def check_ends(self, text: str) -> None:
        """Every statement that ends a packet is behind a counter, or is the policy."""
        without_comments = re.sub(r'comment "[^"]*"', "", text)
        ends = [line for line in without_comments.splitlines() if re.search(r"\b(drop|reject)\b", line)]
        for line in ends:
            self.assertTrue("counter name" in line or "policy drop" in line, line)
        self.assertEqual(sum("policy drop" in line for line in ends), 1)

    def test_mark_holds_the_address_where_the_last_rule_takes_it_from_there(self) -> None:
        """The map then gives a mark with the end of the address; what is not in it is dropped as before."""
        text = ruleset.replacement(attrs.evolve(self.ruleset, dnat=Dnat.MARKDNAT), [host(1, "192.168.0.100")])
        self.assertIn("{ 0x20000001 : 0x20a80064 }", text)
        self.assertIn("map hosts { type mark : mark; }", text)
        self.assertNotIn("dnat ip to", text)

    def test_table_that_an_earlier_version_had_beside_ours_is_removed_in_the_same_transaction(self) -> None:
        """It would take a host's index for an address."""
        for text in (self.text, ruleset.removal("realmgw")):
            self.assertIn("table ip realmgw_mark\ndelete table ip realmgw_mark\n", text)
            self.assertNotIn("table ip realmgw_mark {", text)

    def test_every_counter_is_documented(self) -> None:
        """docs/datapath.md has the same counters."""
        if NO_CHECKOUT:
            raise SkipTest(NO_CHECKOUT)
        text = (CHECKOUT / "docs" / "datapath.md").read_text()
        table = text.partition("## Counters")[2].partition("## Strays")[0]
        named = {
            name for row in re.findall(r"^\| ([^|]*)\|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
        }
        self.assertEqual(named, EVERY - OF_STAGES)  # these stand in docs/pipeline.md

    def test_how_lans_leave_by_ipv6_is_ours_only_where_it_is_in_use(self) -> None:
        """By a pool, or by what is said of a LAN."""
        self.assertIsNone(self.ruleset.leaving6)
        of_rules = [line for line in self.text.splitlines() if "ip6" in line]
        self.assertEqual([line for line in of_rules if "classes6" not in line], [])
        for settings in (DUAL, attrs.evolve(SETTINGS, ipv6=NOT_BY_IPV6)):
            after = Ruleset.of(settings, native_queue=True)
            text = ruleset.replacement(after, ())
            self.assertIn(f"chain {outbound6.WALL} {{", text)
            self.assertIn(f"{after.leaving6.private} drop" if after.leaving6 else "", guard.guard_rules(after))
            self.assertLess(text.index('oifname "wan0" meta nfproto ipv6 '), text.index('oifname "wan0" accept'))

    def test_segments_are_kept_to_the_path(self) -> None:
        """Of both families, in both directions, before what is established passes."""
        sides = r"iifname \{[^}]*\} oifname \{[^}]*\}"
        hook = "type filter hook forward priority filter; policy drop;"
        rule = f"tcp flags syn {sides} tcp option maxseg size set rt mtu"
        self.assertRegex(self.text, rf"\t{hook}\n\t\t{rule}\n\t\tct state established,related accept\n")

    def test_comments_fit_the_kernel(self) -> None:
        """A comment has at most 128 octets."""
        for comment in re.findall(r'comment "([^"]*)"', self.text):
            self.assertLessEqual(len(comment), 128)

    def test_address_that_is_not_what_it_is_said_to_be_is_refused(self) -> None:
        """The message names the host."""
        for wrong in (host(1, "2001:db8::1"), attrs.evolve(host(1, "192.0.2.1"), address6=bytes(4))):
            with self.assertRaisesRegex(ConfigurationError, "h1.example.: an address of its has the length of another"):
                ruleset.replacement(self.ruleset, [wrong])


class DualStackTests(SynchronousTestCase):
    """What there is of IPv6 in the table."""

    def setUp(self) -> None:
        self.both = Ruleset.of(DUAL, native_queue=True)
        self.text = ruleset.replacement(self.both, [host6(1, "fd00::1", "192.168.0.1"), host6(2, "fd00::2")])

    def test_without_a_pool_of_it_or_pinholes_nothing_is_said_of_ipv6(self) -> None:
        """What a gateway of IPv4 placed before, it places now."""
        text = ruleset.replacement(Ruleset.of(SETTINGS, native_queue=True), [host6(1, "fd00::1", "192.168.0.1")])
        of_ipv6 = [line for line in text.splitlines() if re.search("ip6|icmpv6|nfproto ipv6", line)]
        self.assertEqual([line for line in of_ipv6 if "classes6" not in line], [])  # whoever has rules has them there
        self.assertIn("add element inet realmgw hosts { 0x20000001 : 192.168.0.1 }", text)

    def test_each_host_stands_in_the_map_of_its_family(self) -> None:
        """One of both in both."""
        self.assertIn("hosts { 0x20000001 : 192.168.0.1 }\n", self.text)
        self.assertIn("hosts6 { 0x20000001 : fd00::1, 0x20000002 : fd00::2 }\n", self.text)

    def test_every_way_of_ipv4_is_one_of_ipv6(self) -> None:
        """Whatever chain looks at the pool of one family looks at that of the other, and so it is with the guard."""
        for text in (self.text, guard.guard_rules(self.both)):
            self.assertEqual(text.count("ip6 daddr @pool6"), text.count("ip daddr @pool "))
        by_mark = ruleset.replacement(attrs.evolve(self.both, dnat=Dnat.MARKDNAT), ())
        self.assertIn("dnat ip6 to meta mark map @hosts6", by_mark)

    def test_guesses_are_told_by_a_hash_where_the_kernel_can(self) -> None:
        """Before they would come to user space, and behind all that drops in silence; the seed stays for a reload."""
        lent = Ruleset.of(DUAL, native_queue=True, lent=Lent(0xC0FFEE, 16))
        first = ruleset.replacement(lent, ()).partition("chain first_packet {")[2].partition("\n\t}")[0].splitlines()
        told = next(at for at, line in enumerate(first) if "jhash" in line)
        rule = 'ip6 daddr @pool6 jhash @nh,304,16 mod 16 seed 0xc0ffee != 0 counter name "guessed" goto refuse'
        self.assertEqual(first[told].strip(), rule)
        self.assertTrue(all("drop" not in line for line in first[told:]))
        self.assertNotIn("jhash", self.text)
        self.assertNotIn("jhash", ruleset.replacement(Ruleset.of(SETTINGS, native_queue=True, lent=lent.lent), ()))

    def test_hosts_at_their_own_addresses_stand_in_a_set(self) -> None:
        """By their own option, or by their prefix, wherever that is."""
        prefix = config.PrefixMode(IPv6Network("3fff:1::/32"), config.Ipv6Mode.PINHOLE)
        settings = attrs.evolve(SETTINGS, ipv6=config.Ipv6(prefixes=(prefix,)))
        own = Profile(ipv6=config.Ipv6Mode.PINHOLE)
        hosts = [
            host6(1, "3fff:1::1"),
            host6(2, "3fff:2::1"),
            attrs.evolve(host6(3, "3fff:2::2"), profile=own),
            attrs.evolve(host6(4, "3fff:1::2"), profile=Profile(ipv6=config.Ipv6Mode.OFF)),
        ]
        self.assertIn(
            "pinholes { 3fff:1::1, 3fff:2::2 }\n", ruleset.replacement(Ruleset.of(settings, native_queue=True), hosts)
        )
        said = Ruleset.of(SETTINGS, native_queue=True, pinholes=True)
        self.assertIn("pinholes { 3fff:2::2 }\n", ruleset.replacement(said, hosts))

    def test_change_of_a_host_touches_its_own_elements_only(self) -> None:
        """Whichever address is another, and whether it is reached at it."""
        before, other = host6(1, "fd00::1", "192.168.0.1"), host6(2, "3fff:1::2")
        moved = host6(1, "fd00::9", "192.168.0.1")
        self.assertEqual(
            ruleset.changes(self.both, self.both, change([before, other], [moved, other])).splitlines(),
            [
                "delete element inet realmgw hosts { 0x20000001 }",
                "delete element inet realmgw hosts6 { 0x20000001 }",
                "add element inet realmgw hosts { 0x20000001 : 192.168.0.1 }",
                "add element inet realmgw hosts6 { 0x20000001 : fd00::9 }",
            ],
        )
        opened = attrs.evolve(other, profile=Profile(ipv6=config.Ipv6Mode.PINHOLE))
        made = ruleset.changes(self.both, self.both, change([before, other], [before, opened]))
        self.assertIn("add element inet realmgw pinholes { 3fff:1::2 }\n", made)
        made = ruleset.changes(self.both, self.both, change([before, opened], [before, other]))
        self.assertIn("delete element inet realmgw pinholes { 3fff:1::2 }\n", made)

    def test_pool_is_changed_in_place_and_the_first_of_ipv6_replaces_the_table(self) -> None:
        """The one is a set that stands, the other are rules."""
        more = attrs.evolve(self.both, pool6=(IPv6Network("2001:db8:1::/64"),))
        first, second, flushed, *rules = ruleset.changes(self.both, more, change([], [])).splitlines()
        self.assertEqual(first, "flush set inet realmgw pool6")
        self.assertEqual(second, "add element inet realmgw pool6 { 2001:db8:1::/64 }")
        # Where one prefix has all of it, that is looked at before the set.
        self.assertEqual(flushed, "flush chain inet realmgw settle")
        settle = "add rule inet realmgw settle "
        self.assertEqual([each for each in rules if not each.startswith(settle)], [])
        self.assertIn(f"{settle}ip6 daddr 2001:db8:1::/64 ip6 daddr @pool6 goto for_pool6", rules)
        more = attrs.evolve(self.both, pool=(*self.both.pool, self.both.pool[0]))
        self.assertNotIn("settle", ruleset.changes(self.both, more, change([], [])))
        plain = Ruleset.of(SETTINGS, native_queue=True)
        for pair in ((plain, self.both), (self.both, attrs.evolve(self.both, modes=config.Ipv6(config.Ipv6Mode.OFF)))):
            self.assertTrue(ruleset.replaces(ruleset.changes(*pair, change([], []))))


class HostChangesTests(SynchronousTestCase):
    """`changes`, when only hosts are others: from one map to the other."""

    def setUp(self) -> None:
        """Some rules, which stay."""
        self.ruleset = Ruleset.of(SETTINGS, native_queue=False)

    def changes(self, old: list[Host], new: list[Host], dnat: Dnat = Dnat.MAP) -> str:
        """The transaction."""
        rules = attrs.evolve(self.ruleset, table="t", dnat=dnat)
        return ruleset.changes(rules, rules, change(old, new))

    def test_nothing_is_said_when_nothing_changes(self) -> None:
        """Other objects for the same hosts are no change."""
        self.assertEqual(self.changes([host(1, "192.0.2.1")], [host(1, "192.0.2.1")]), "")

    def test_changed_address_is_deleted_before_it_is_added(self) -> None:
        """The kernel refuses a second value for a key that is there."""
        changes = self.changes([host(1, "192.0.2.1")], [host(1, "192.0.2.2")])
        self.assertEqual(
            changes,
            "delete element inet t hosts { 0x20000001 }\nadd element inet t hosts { 0x20000001 : 192.0.2.2 }\n",
        )

    def test_moved_host_has_another_mark(self) -> None:
        """The same in the other way: it is the value that has the address."""
        changes = self.changes([host(1, "192.0.2.1")], [host(1, "192.0.2.2")], Dnat.MARKDNAT)
        self.assertIn("add element inet t hosts { 0x20000001 : 0x20000202 }\n", changes)

    @given(*[st.dictionaries(st.integers(1, 40), st.integers(1, 5)) for _ in range(2)])
    def test_map_becomes_the_new_one(self, old: dict[int, int], new: dict[int, int]) -> None:
        """Whatever was there before, what is in the map afterwards is what would be put into an empty one."""
        old_hosts, new_hosts = ([host(i, f"192.0.2.{a}") for i, a in each.items()] for each in (old, new))
        before = applied(self.changes([], old_hosts), {})
        after = applied(self.changes(old_hosts, new_hosts), before)
        self.assertEqual(after, applied(self.changes([], new_hosts), {}))


class StraysTests(SynchronousTestCase):
    """`elements.strays`: senders for the kernel's sets."""

    def test_sources_are_written_out(self) -> None:
        """All in one order."""
        some = elements.strays([bytes([192, 0, 2, 1]), bytes([192, 0, 2, 255])], ipv6=False)
        expected = [f"{verb} element inet t strays {{ 192.0.2.1, 192.0.2.255 }}" for verb in ("add", "delete", "add")]
        self.assertEqual([line for each in some for line in each.commands("t")], expected)

    def test_sender_of_ipv6_is_his_prefix(self) -> None:
        """Two addresses of one are one element."""
        sources = [ip_address(text).packed for text in ("2001:db8:1::1", "192.0.2.1", "2001:db8:1::2", "2001:db8:2::1")]
        self.assertEqual(
            [line for some in elements.strays(sources, ipv6=True) for line in some.commands("t")][2::3],
            ["add element inet t strays { 192.0.2.1 }", "add element inet t strays6 { 2001:db8:1::, 2001:db8:2:: }"],
        )

    def test_source_of_a_family_that_is_not_in_use_is_left_out(self) -> None:
        """No rule matches it, and it would have the whole batch refused."""
        self.assertEqual(elements.strays([bytes(16)], ipv6=False), ())
