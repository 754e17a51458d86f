"""Tests for `realmgw.control.plan`."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_network

import attrs
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.settings import (
    Alerts,
    Allocation,
    Attachment,
    Dashboard,
    Dns,
    Interfaces,
    NameServer,
    Network,
    PoolPrefix,
    Pools,
    Portal,
    Settings,
    Zone,
)
from realmgw.config.steps import Steps, finish
from realmgw.control.plan import CHANGEABLE, FEW, NAMED, Plan, beyond, needs_restart, planning, small
from realmgw.subscribers.model import Host, Profile, Service, Terms
from realmgw.subscribers.registry import Changes
from realmgw.test.datapath.pipeline.test_stages import staged

ZONE = Zone("example.org.", (NameServer("ns.example.org.", (IPv4Address("192.0.2.1"),)),), "admin.example.org.")
SETTINGS = Settings(
    name="gw.example.org.",
    zones=(ZONE,),
    interfaces=Interfaces("wan0", ("lan0",)),
    pools=Pools((PoolPrefix(ip_network("198.51.100.0/28"), Attachment.ROUTED),)),
)
CHANGES: dict[str, tuple[Settings, tuple[str, ...], bool]] = {
    "nothing": (SETTINGS, (), False),
    "the name": (attrs.evolve(SETTINGS, name="gv.example.org."), ("name",), True),
    "an interface": (attrs.evolve(SETTINGS, interfaces=Interfaces("wan1", ("lan0",))), ("interfaces.wan",), True),
    "a zone's ttl": (attrs.evolve(SETTINGS, zones=(attrs.evolve(ZONE, ttl=60),)), ("zones.example.org.ttl",), False),
    "the linger": (attrs.evolve(SETTINGS, allocation=Allocation(linger=5.0)), ("allocation.linger",), False),
    "a ttl": (attrs.evolve(SETTINGS, dns=Dns(host_ttl=5)), ("dns.host_ttl",), False),
    "the queue": (
        attrs.evolve(SETTINGS, admission=attrs.evolve(SETTINGS.admission, queue=2)),
        ("admission.queue",),
        True,
    ),
}
"""What is changed: the settings, the keys that are told, and whether that wants a restart."""


class SettingsTests(SynchronousTestCase):
    """What of the settings is different."""

    def test_names_the_keys_that_differ(self) -> None:
        """By their place in the configuration, and whether they want a restart."""
        for title, (after, keys, restart) in CHANGES.items():
            found = finish(planning(SETTINGS, after, Changes()))
            self.assertEqual(tuple(change.key for change in found.keys), keys, title)
            self.assertEqual(found.restart, keys if restart else (), title)
            self.assertEqual(bool(found), bool(keys), title)

    def test_tells_where_groups_are_written(self) -> None:
        """The file and its line, in short; what is said no more has none."""
        rule = "{priority: 1, direction: EGRESS, target: DROP}"
        texts = ("{groups: {a: {rules: []}, b.c: }}", f"{{groups: {{b.c: {{rules: [{rule}]}}}}}}")
        before, after = (staged(text, SETTINGS) for text in texts)
        rule = "[{direction: EGRESS, priority: 1, target: DROP}]"
        self.assertEqual(list(finish(planning(before, after, Changes())).lines()), [
            f"~ policy.pipeline.groups.b.c.rules: [] -> {rule} (policies.d/50.yaml:1)",
            "~ policy.pipeline.groups.a.rules: [] -> not there",
        ])  # fmt: skip

    def test_everything_that_is_not_known_wants_a_restart(self) -> None:
        """And no key is taken for another that it begins like."""
        self.assertTrue(needs_restart("something.new"))
        self.assertTrue(needs_restart("dns.host_ttl_of_another_kind"))
        self.assertFalse(needs_restart("allocation.linger"))

    def test_every_changeable_key_is_one(self) -> None:
        """A key that was renamed would silently want a restart."""
        for key in CHANGEABLE:
            value: object = attrs.evolve(SETTINGS, portal=Portal(()), alerts=Alerts(), dashboard=Dashboard(()))
            for word in key.split("."):
                self.assertIn(word, [field.name for field in attrs.fields(type(value))], key)  # type: ignore[arg-type]
                value = getattr(value, word)

    def test_tells_prefixes(self) -> None:
        """Those that come and those that go."""
        pools = Pools((PoolPrefix(ip_network("203.0.113.0/28"), Attachment.ROUTED),))
        found = finish(planning(SETTINGS, attrs.evolve(SETTINGS, pools=pools), Changes()))
        self.assertEqual(found.prefixes_added, (ip_network("203.0.113.0/28"),))
        self.assertEqual(found.prefixes_removed, (ip_network("198.51.100.0/28"),))


class SubscriberTests(SynchronousTestCase):
    """What of the subscribers is different."""

    def test_names_hosts_and_services(self) -> None:
        """With a sign before each."""
        new, old = (
            Host(1, "new.example.org.", b"\xc0\xa8\0\1", Profile(1)),
            Host(2, "old.example.org.", b"\xc0\xa8\0\2", Profile(1)),
        )
        before, after = (
            Host(3, "x.example.org.", b"\xc0\xa8\0\3", Profile(1)),
            Host(3, "x.example.org.", b"\xc0\xa8\0\3", Profile(2)),
        )
        changes = Changes(
            removed=[old],
            added=[new],
            changed=[(before, after)],
            names_gone=["www.old.example.org."],
            services=[Service("www.new.example.org.", new)],
            problems=("a.yaml:1:1: bad",),
        )
        found = finish(planning(SETTINGS, SETTINGS, changes))
        lines = [
            "+ host new.example.org.",
            "~ host x.example.org.: max_claims 1 -> 2",
            "- host old.example.org.: its flows end",
            "+ service www.new.example.org.",
            "- service www.old.example.org.",
        ]
        self.assertEqual(list(found.lines()), lines)
        self.assertEqual(found.problems, ("a.yaml:1:1: bad",))

    def test_tells_what_a_host_leaves_behind_when_it_moves(self) -> None:
        """Its former address and its new one, and that its flows end; what else is different besides."""
        before = Host(1, "x.example.org.", b"\xc0\xa8\0\3", Profile(1, groups=("a",)))
        after = Host(1, "x.example.org.", b"\xc0\xa8\0\4", Profile(1, groups=("b",)))
        [line] = finish(planning(SETTINGS, SETTINGS, Changes(changed=[(before, after)]))).lines()
        self.assertEqual(
            line, "~ host x.example.org.: address 192.168.0.3 -> 192.168.0.4 (its flows end), groups a -> b"
        )

    def test_tells_of_both_families(self) -> None:
        """An address that comes ends no flows, one that goes does."""
        four, six, other = b"\xc0\xa8\0\3", bytes.fromhex(f"fd{1:030x}"), bytes.fromhex(f"fd{2:030x}")
        for before, after, said in (
            ((four, b""), (four, six), "IPv6 address none -> fd00::1"),
            ((four, six), (four, other), "IPv6 address fd00::1 -> fd00::2 (its flows end)"),
            ((four, six), (b"", six), "address 192.168.0.3 -> none (its flows end)"),
            ((four, b""), (b"", six), "address 192.168.0.3 -> none, IPv6 address none -> fd00::1 (its flows end)"),
        ):
            hosts = [Host(1, "x.example.org.", each[0], address6=each[1]) for each in (before, after)]
            [line] = finish(planning(SETTINGS, SETTINGS, Changes(changed=[(hosts[0], hosts[1])]))).lines()
            self.assertEqual(line, f"~ host x.example.org.: {said}")

    def test_tells_what_is_different_about_a_service(self) -> None:
        """Where it leads, and what may be reached; one whose host moves is named with its host."""
        host, other = Host(1, "x.example.org.", bytes(4), Profile(1)), Host(2, "y.example.org.", bytes(4), Profile(1))
        said = (Service("a.", host, Terms(6, 80)), Service("b.", host, Terms(6, 22)), Service("p.", host))
        former, proxied = {each.name: each for each in said}, Service("p.", host, Terms(proxy_required=True))
        services = (Service("a.", other, Terms(17, 80)), attrs.evolve(former["b."]), Service("c.", host), proxied)
        found = finish(planning(SETTINGS, SETTINGS, Changes(services=[*services]), services=former))
        self.assertEqual(
            list(found.lines()),
            [
                "~ service a.: host x.example.org. -> y.example.org., protocol 6 -> 17",
                "~ service b.: its host is different",
                "+ service c.",
                "~ service p.: proxy_required False -> True",
            ],
        )

    def test_counts_what_is_too_much_to_name(self) -> None:
        """A hundred thousand lines help nobody."""
        found = Plan(hosts_added=tuple(f"h{number}." for number in range(NAMED + 5)))
        self.assertEqual(list(found.lines())[-1], "+ hosts: 5 more")
        self.assertEqual(found.summary(), f"{NAMED + 5} hosts added")


class BeyondTests(SynchronousTestCase):
    """Prefixes without other prefixes."""

    def test_is_exact(self) -> None:
        """Address by address, whatever contains what."""
        cases = (
            (["192.0.2.0/24"], ["192.0.2.0/25", "192.0.2.128/25"]),
            (["192.0.2.0/25"], ["192.0.2.0/24"]),
            (["192.0.2.0/28", "198.51.100.0/28"], ["192.0.2.4/30", "192.0.2.9/32", "2001:db8::/64"]),
        )
        for ours, theirs in cases:
            mine, others = [ip_network(text) for text in ours], [ip_network(text) for text in theirs]
            expected = {each for network in mine for each in network if not any(each in other for other in others)}
            self.assertEqual({each for network in finish(beyond(mine, others)) for each in network}, expected)

    def test_takes_steps_that_grow_no_longer_with_the_pool(self) -> None:
        """However many prefixes there are, and whichever of them is new: a portion of them at a time."""
        for count in (2000, 8000):
            mine = [IPv4Network((0x0A000000 + 2 * number, 32)) for number in range(count)]
            others = [*mine[: count // 2], *(IPv4Network((0x0B000000 + 2 * n, 32)) for n in range(count // 2))]
            found, steps = self.counted(beyond(mine, others))
            self.assertEqual(list(found), mine[count // 2 :])
            self.assertTrue(count // 512 <= steps <= count // 64, (count, steps))

    def counted(self, steps: Steps[tuple[Network, ...]]) -> tuple[tuple[Network, ...], int]:
        """What steps lead to, and how many they are."""
        count = 0
        while True:
            try:
                next(steps)
            except StopIteration as end:
                found: tuple[Network, ...] = end.value
                return found, count
            count += 1

    def test_prefixes_come_and_go_in_small_portions(self) -> None:
        """Of few addresses each, and all of them."""
        networks = [IPv4Network("198.51.100.0/30"), IPv4Network("10.0.0.0/20"), IPv4Network("192.0.2.1/32")]
        portions = list(small(networks))
        self.assertTrue(all(sum(each.num_addresses for each in portion) < 2 * FEW for portion in portions))
        self.assertEqual(
            [address for portion in portions for each in portion for address in each],
            [address for each in networks for address in each],
        )

    def test_prefixes_of_ipv6_are_one_thing_each(self) -> None:
        """However many addresses they have: nothing is done for each of them."""
        networks: list[Network] = [
            IPv6Network("2001:db8::/32"),
            IPv4Network("10.0.0.0/23"),
            IPv6Network("2001:db9::/64"),
        ]
        self.assertEqual([each for portion in small(networks) for each in portion if each.version == 6], networks[::2])
