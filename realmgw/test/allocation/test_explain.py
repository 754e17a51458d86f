"""Tests for `realmgw.allocation.explain`: whatever happened before, the dry run says what the real one then does."""

from __future__ import annotations

import copy
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.explain import explain_admit, explain_ask
from realmgw.allocation.trace import dotted
from realmgw.config.policy import Audit, Policy
from realmgw.errors import Reason
from realmgw.test.allocation.scene import OTHER, RESOLVER, TCP, UDP, Scene, pool_address, service

SERVICES = [
    *(service(index) for index in range(1, 5)),
    *(service(index, TCP, 80, loose_packet=index) for index in (5, 6)),
    service(7, UDP, 53),
    service(8, TCP, max_claims=1),
    service(8, UDP, max_claims=1),
]
HOSTS = {asked.host.address: asked.host for asked in SERVICES}
SOURCES = [bytes((198, 51, 100, last)) for last in range(1, 5)]


class AgreementTests(SynchronousTestCase):
    """The dry run and the real one."""

    def history(self, seed: int, policy: Policy | None = None) -> tuple[Scene, Random, float]:
        """A gateway that has seen this and that."""
        scene, random, now = Scene(3, policy=policy, host_at=HOSTS.get), Random(seed), 0.0
        for _ in range(random.randrange(40)):
            now += random.choice((0.0, 0.01, 0.3, 1.1))
            if random.random() < 0.5:
                scene.ask(random.choice(SERVICES), random.choice((RESOLVER, OTHER)), now=now)
            elif random.random() < 0.8:
                scene.come(*self.packet(random), sport=random.randrange(1000, 1003), now=now)
            else:
                scene.allocator.expire(now=now)
        return scene, random, now

    def packet(self, random: Random) -> tuple[bytes, bytes, int, int]:
        """Destination, source, protocol and port."""
        return (
            pool_address(random.randrange(1, 5)),
            random.choice(SOURCES),
            random.choice((TCP, UDP)),
            random.choice((80, 53, 22)),
        )

    def test_of_packets(self) -> None:
        """The same host, or the same reason."""
        outcomes = set()
        for seed in range(400):
            scene, random, now = self.history(seed)
            dst, src, protocol, dport = self.packet(random)
            sport = random.randrange(1000, 1003)
            flow = src, dst, protocol, sport, dport
            said = explain_admit(scene.allocator, flow, now=now)
            done = scene.allocator.admit(flow, now=now)
            self.assertEqual(said.host or -(said.reason or 0), done, f"seed {seed}: {said.steps}")
            outcomes.add(done)
        self.assertLessEqual({-Reason.NOT_OURS, -Reason.NO_RESERVATION, -Reason.NO_CLAIM, -Reason.LATE}, outcomes)
        self.assertTrue(any(outcome > 0 for outcome in outcomes))

    def test_of_questions(self) -> None:
        """The same address, or the same reason."""
        outcomes = set()
        for seed in range(400):
            scene, random, now = self.history(seed)
            asked, resolver = random.choice(SERVICES), random.choice((RESOLVER, OTHER))
            said = explain_ask(scene.allocator, asked, resolver, now=now)
            done = scene.ask(asked, resolver, now=now)
            self.assertEqual(said.address or said.reason, done, f"seed {seed}: {said.steps}")
            outcomes.add(type(done) if isinstance(done, bytes) else done)
        self.assertLessEqual({bytes, Reason.EXHAUSTED, Reason.HOST_LIMIT}, outcomes)

    def test_of_questions_under_a_policy(self) -> None:
        """The same, when a policy decides: an address, the same reason, or that it may not even wait."""
        outcomes = set()
        for seed in range(400):
            policy = Policy(max_claims=3) if seed % 3 == 0 else Policy()
            scene, random, now = self.history(seed, policy)
            for resolver in (RESOLVER, OTHER):
                scene.allocator.groups.set(resolver, random.choice((0.0, 0.3, 0.9)), now=now)
            asked, resolver = random.choice(SERVICES), random.choice((RESOLVER, OTHER))
            said = explain_ask(scene.allocator, asked, resolver, now=now)
            done = scene.ask(asked, resolver, question="q", now=now)
            if done is Reason.EXHAUSTED:
                done = scene.allocator.wait(asked, resolver, "q", print, tcp=False, now=now) or done
            self.assertEqual(said.address or said.reason, done, f"seed {seed}: {said.steps}")
            outcomes.add(type(done) if isinstance(done, bytes) else done)
        self.assertLessEqual({bytes, Reason.EXHAUSTED, Reason.POLICY, Reason.CLAIM_LIMIT}, outcomes)

    def test_a_refusal_names_the_band_and_how_the_reputation_comes_about(self) -> None:
        """Who asks, what became of his claims, the load, the band, what is offered and what is demanded."""
        scene = Scene(4, policy=Policy())
        scene.allocator.groups.set(OTHER, 0.9, now=0.0)
        for index in (1, 2):
            scene.get(service(index), OTHER, now=0.0)
        said = "\n".join(explain_ask(scene.allocator, service(3), RESOLVER, now=0.0).steps)
        for part in (
            "resolver group 203.0.113.1: unproven",
            "0.45, of 0.45 for the last period and 0.45 for this one, which began with 0.45 and has 0 ok",
            "2 of 4 addresses are waited at",
            "asked for fqdn_new; the best reputation known is 0.90",
            "band 33-66 %: offered is 0.50 (max) of the best, demanded 0.75: too little",
            "refused: policy",
        ):
            self.assertIn(part, said)

    def test_says_where_nobody_is_refused_for_his_reputation(self) -> None:
        """There is no load policy, or there is one."""
        for policy, times in ((None, 1), (Policy(), 0)):
            said = explain_ask(Scene(policy=policy).allocator, service(1), RESOLVER, now=0.0)
            self.assertEqual(said.steps.count("there is no load policy"), times)

    def state(self, scene: Scene) -> list[object]:
        """What a question or a packet changes, if it is meant."""
        allocator, ledger, pool = scene.allocator, scene.allocator.ledger, scene.allocator.pool
        load, groups = allocator.askers.load, allocator.groups
        return [
            copy.deepcopy(scene.counters),
            pool.counts(),
            [address.packed for address in pool.vacant],
            [(len(ledger.places), len(ledger.deadlines)), ledger.remembered, ledger.given_up],
            [ledger.costs.scarce_at, ledger.short_until, ledger.dead.watching],
            [ledger.places.missed_at(asked.host) for asked in SERVICES],
            [(group.resolver, group.standing, group.hopeless) for group in groups],
            None if load is None else (load.counts(), load.may_try(0.0, ample=False)),
            len(allocator.arrivals._young),
        ]

    def test_changes_nothing(self) -> None:
        """Neither counters nor groups nor claims, nor what is noted where something was missing."""
        for seed in range(400):
            policy = (None, Policy(), Policy(max_claims=1, audit=(Audit.LOAD,)))[seed % 3]
            scene, random, now = self.history(seed, policy)
            allocator = scene.allocator
            allocator.groups.of(RESOLVER).hopeless = seed % 5 == 0
            if scene.ask(SERVICES[0], OTHER, "waits", now=now) is Reason.EXHAUSTED:
                allocator.wait(SERVICES[0], OTHER, "waits", print, tcp=True, now=now)
                now += random.choice((0.0, 0.6))  # then others are dead by experience
            allocator.arrivals.forget(now=now)  # as time does
            before = self.state(scene)
            for asked in SERVICES:
                for resolver in (RESOLVER, "203.0.113.77"):
                    explain_ask(allocator, asked, resolver, now=now)
            for _ in range(10):
                dst, src, protocol, dport = self.packet(random)
                explain_admit(allocator, (src, dst, protocol, random.randrange(1000, 1003), dport), now=now)
            self.assertEqual(self.state(scene), before, f"seed {seed}")

    def test_addresses_are_written_for_humans(self) -> None:
        """Of both families."""
        self.assertEqual(dotted(b"\xc0\0\2\1"), "192.0.2.1")
        self.assertEqual(dotted(b"\x20\1\x0d\xb8" + bytes(11) + b"\1"), "2001:db8::1")
