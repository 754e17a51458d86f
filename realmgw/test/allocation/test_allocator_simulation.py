"""The allocator under traffic that wants more addresses than there are, in simulated time."""

from __future__ import annotations

from statistics import mean

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from realmgw.test.checkout import NO_CHECKOUT

try:
    from testbed.simulated import caches, dualstack, noise, polling, simulation
except ImportError:
    simulation = None  # type: ignore[assignment]  # the package is installed without its testbed


class SimulationTests(SynchronousTestCase):
    """Some hundred clients of `testbed/simulate`; the same seed is the same traffic."""

    def setUp(self) -> None:
        """Needs the testbed."""
        if simulation is None:
            raise SkipTest(NO_CHECKOUT)

    def test_ours_holds_in_every_case(self) -> None:
        """Our rules reach what each case asks for, where the original rule loses clients."""
        for case in simulation.CASES:
            results = {
                name: self.played(case, name) for name in ("original rule", simulation.OURS, simulation.OURS_APART)
            }
            self.assertTrue(simulation.holds(case, results), (case.title, *map(simulation.cell, results.values())))

    @staticmethod
    def played(case: simulation.Case, name: str) -> simulation.Result:
        """What becomes of the clients of a case, by one traffic.

        Where idle queries are many and nothing is learned, one tells little (87 to 98 % are served): by four.
        """
        is_chance = not case.learned and case.idle_rate > 3
        total = simulation.Result()
        for seed in (7, 8, 9, 10) if is_chance else (7,):
            total.add(simulation.simulate(case, simulation.RULES[name], 600, seed=seed))
        return total

    def test_riding_beats_prolonging(self) -> None:
        """Without the rule on riding, a busy host captures its address where many queries lead to nobody."""
        case = next(case for case in simulation.CASES if case.addresses == 3 and case.idle_rate == 15 and case.wan)
        ours, without = (
            simulation.simulate(case, simulation.RULES[name], 600, seed=7) for name in ("riding", "guard and waiting")
        )
        self.assertLess(ours.percentile(0.99), without.percentile(0.99))

    def test_same_seed_same_result(self) -> None:
        """Nothing depends on anything but the seed."""
        case, rule = simulation.CASES[0], simulation.RULES[simulation.OURS]
        first, second = (simulation.simulate(case, rule, 200, seed=3) for _ in range(2))
        self.assertEqual(first.served, second.served)

    def test_a_resolver_that_is_alone_is_never_refused(self) -> None:
        """Where all ask through one resolver, the load policy changes nothing, however many queries are idle."""
        for case in simulation.CASES:
            alone, without = (
                simulation.simulate(case, simulation.RULES[name], 600, seed=7) for name in (simulation.OURS, "riding")
            )
            self.assertEqual(alone.success, without.success, case.title)
            self.assertGreaterEqual(alone.success, 0.999 if case.learned else 0.98, case.title)

    def test_an_idle_resolver_gives_itself_away(self) -> None:
        """Nobody says which resolver's clients never come, but soon those of the other one are served at once."""
        case = next(case for case in simulation.CASES if case.addresses == 3 and case.idle_rate == 15 and case.wan)
        ours, without = (
            simulation.simulate(case, simulation.RULES[name], 2000, seed=7)
            for name in (simulation.OURS_APART, "riding, idle by another")
        )
        self.assertLess(ours.percentile(0.5), without.percentile(0.5) / 3)

    def test_who_asks_by_the_clock_is_not_taken_to_keep_answers(self) -> None:
        """Whatever the others do who come by chance; all his clients are served where there is room for them."""
        [case] = [case for case in polling.CASES if case.period == 5 and not case.jitter]
        poller, others, was_keeper = polling.Polled(case).play()
        self.assertEqual((was_keeper, poller.share, others.astray), (False, 1.0, 0))

    def test_who_had_to_queue_reaches_his_host(self) -> None:
        """Behind two resolvers that keep nothing, however far apart those come who were told together.

        How many others are refused depends on chance: 0 to 15 %, so it is the mean of some runs that counts.
        """
        runs = [caches.Site(caches.QUEUED, (caches.PLAIN, caches.PLAIN), seed).run() for seed in range(1, 7)]
        self.assertEqual([outcome.astray for outcomes in runs for outcome in outcomes], [0] * 12)
        self.assertGreater(mean(outcome.share for outcomes in runs for outcome in outcomes), 0.95)

    def test_whoever_is_slowest_reaches_his_host_where_addresses_pass_on_at_once(self) -> None:
        """He was never seen to be answered, his group seemed ever quicker, and up to a tenth reached other hosts."""
        runs = [caches.Site(caches.SLOW, (caches.PLAIN,), seed).run()[0] for seed in (1, 3, 8, 19)]
        self.assertEqual([each.astray for each in runs], [0] * len(runs))
        self.assertGreater(mean(each.share for each in runs), 0.97)

    def test_the_first_clients_of_who_keeps_answers_reach_theirs(self) -> None:
        """Beside a resolver that keeps nothing: as soon as its second client came, its addresses are kept for more."""
        self.patch(caches, "SECONDS", 8.0)
        case, astray, total = caches.Case(3, 10, 15, 0.1, (0.002, 0.1, 0.3)), 0, 0
        for kind in caches.RESOLVERS:
            for seed in range(13, 61) if kind.predicts or kind.by_clock else ():
                for outcome in caches.Site(case, (kind, caches.PLAIN), seed).run():
                    astray, total = astray + outcome.astray, total + outcome.total
        self.assertLess(astray, 0.0012 * total)  # it was 0.0065

    def test_nobody_is_starved_by_a_resolver_that_keeps_answers(self) -> None:
        """Half of the clients come by one that does, to fewer addresses than there are hosts, after up to 300 ms.

        Those of the other one lose some in the first seconds, until it is known who keeps answers: 0 to 8 %, so it is
        the mean of a dozen runs that counts.
        """
        case = caches.Case(16, 20, 20, 0.1, (0.002, 0.1, 0.3))
        [kind] = [each for each in caches.RESOLVERS if each.predicts]
        runs = [caches.Site(case, (kind, caches.PLAIN), seed).run() for seed in range(1, 13)]
        self.assertGreater(mean(others.share for _, others in runs), 0.97)
        self.assertEqual(sum(others.astray for _, others in runs), 0)

    def test_who_keeps_answers_is_found_out_in_an_exhausted_pool(self) -> None:
        """Three addresses for ten hosts: few of his clients reach another one, until that is known.

        As long as trials said nothing where a client was refused, or another's came, or the resolver only repeated what
        it had asked, he was taken to keep nothing in half of the runs, and half of his clients went astray there.
        """
        case = caches.Case(3, 10, 15, 0.1, (0.002, 0.1, 0.3))
        [kind] = [each for each in caches.RESOLVERS if each.predicts]
        runs = [caches.Site(case, (kind, caches.PLAIN), seed).run() for seed in range(1, 9)]
        for keeper, others in runs:
            self.assertLess(keeper.astray, keeper.total / 50)
            self.assertLess(others.astray, others.total / 50)
        self.assertGreater(mean(others.share for _, others in runs), 0.5)

    def test_who_keeps_nothing_is_cleared_soon_in_an_exhausted_pool(self) -> None:
        """Two such resolvers: what stands is left alone until it was tried whether they wait for their answers."""
        case = caches.Case(3, 10, 15, 0.1, (0.002, 0.1, 0.3))
        runs = [caches.Site(case, (caches.PLAIN, caches.PLAIN), seed).run() for seed in range(1, 25)]
        self.assertGreater(mean(outcome.share for outcomes in runs for outcome in outcomes), 0.93)

    def test_who_could_not_be_tried_is_tried_later(self) -> None:
        """Beside a busy one that is known before, nothing that it is told stands for long enough; it is not starved."""
        case = caches.Case(3, 10, 30, 0.04)
        kinds = caches.RESOLVERS[1], caches.PLAIN
        runs = [caches.Site(case, kinds, seed).run() for seed in (1, 13)]
        self.assertGreater(min(others.share for _, others in runs), 0.6)

    def test_who_keeps_answers_leaves_addresses_to_who_waits(self) -> None:
        """A resolver that asks again and again for what it has does not keep those waiting for whom it gives up soon.

        What is lost is lost in the first seconds, until it is known for how long it keeps answers.
        """
        case = caches.Case(16, 20, 40, 0.1, (0.002, 0.1, 0.3))
        runs = [caches.Site(case, (caches.IMPATIENT,), seed).run() for seed in range(17, 49)]
        self.assertEqual(sum(outcome.astray for [outcome] in runs), 0)
        self.assertGreater(mean(outcome.share for [outcome] in runs), 0.965)

    def test_no_address_stands_unused_where_most_hosts_wait(self) -> None:
        """It is not left alone there until clients of its host come no more."""
        ours = simulation.simulate(simulation.CASES[0], simulation.RULES[simulation.OURS], 3000, seed=2)
        self.assertGreater(ours.success, 0.98)


class DualStackTests(SynchronousTestCase):
    """Clients of whom most come by IPv6, on three addresses of IPv4."""

    def test_they_cost_those_nothing_who_come_by_ipv4(self) -> None:
        """All of these are served, as soon as if the others had not asked for IPv4, and nobody is blamed."""
        if simulation is None:
            raise SkipTest(NO_CHECKOUT)
        row = dualstack.Row(30.0, wan=False, aaaa_first=True)
        ours, without = (row.play(column, flows=1000) for column in (dualstack.ALL, dualstack.WITHOUT))
        self.assertTrue(dualstack.holds(ours, without), (str(ours), str(without)))


class NoiseTests(SynchronousTestCase):
    """Resolvers that are known, beside others."""

    def setUp(self) -> None:
        """Needs the testbed."""
        if simulation is None:
            raise SkipTest(NO_CHECKOUT)

    def test_noise_does_not_pass_for_a_new_resolver(self) -> None:
        """Who asks and never comes, who connects everywhere from the same addresses, and forged packets.

        Some of what is asked is followed by a packet. As long as that was taken for a client's, up to a half of the
        honest clients were lost.
        """
        for number in (2, 3, 4):
            for shared in (False, True):
                seeds = noise.SEEDS if shared else 2
                outcome = noise.played(noise.KINDS[number], 15.0, shared=shared, seeds=seeds)
                self.assertGreater(outcome.share, noise.LEAST, (noise.KINDS[number].title, shared))
                self.assertEqual(outcome.astray, 0)

    def test_a_new_resolver_that_keeps_answers_is_found_out_beside_known_ones(self) -> None:
        """Nobody is known in its clients' network, so that they are not taken for the clients of these."""
        [kind] = [each for each in caches.RESOLVERS if each.predicts]
        outcome = noise.joined(noise.DELAYED, kind)
        self.assertLess(outcome.astray, noise.BEHIND * outcome.total)
