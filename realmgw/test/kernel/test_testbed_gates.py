"""What the measuring programs make of their figures: a tail is judged by the median of rounds, losses by their sum."""

from __future__ import annotations

import contextlib
import math
import os
from collections import Counter
from typing import Any

import attrs
from twisted.trial.unittest import SynchronousTestCase

from realmgw.test import programs

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.load.generator import Came, Outcome, Times
    from testbed.measuring import figures, rounds
    from testbed.player.players import Played
    from testbed.programs import answers, bench, bench6, bystanders, floods, scarce, siblings, storm

MISSING = programs.missing_modules("testbed", "pyroute2", "dns")
NOISY = (4.2, 5.1, 13.2, 6.0, 7.2)
"""ms: five rounds of one gateway, one of them at a bad moment."""
SLOW = (11.1, 12.0, 4.2, 13.2, 10.5)
"""ms: five rounds of one that is too slow, one of them at a good moment."""


def outcome(p99: float, *, lost: int = 0, misdelivered: int = 0) -> Outcome:
    """One round with this p99, in ms, for everything."""
    times = Times(count=1000, p50=500.0, p90=800.0, p99=p99 * 1000, p999=p99 * 2000, longest=p99 * 3000)
    kinds = Counter(timeout=lost, misdelivered=misdelivered)
    return Outcome(
        started=1000, ok=1000 - lost - misdelivered, seconds=2.0, per_second=500.0, lost=kinds, codes={}, asked_again=0,
        skipped=0, idle_started=0, resolve=times, connect=times, total=times, cpu=1.0, share=0.5, own_cpu=1.0,
    )  # fmt: skip


def flood(case: floods.Case, p99: float, *, lost: int = 0) -> floods.Flood:
    """One round of a case with this p99, in ms."""
    events: list[Any] = [[float(number), "ok", "", p99 / 1000] for number in range(1000 - lost)]
    events += [[float(number), "SERVFAIL", "", None] for number in range(lost)]
    return floods.Flood(case, Played(None, events, 1000), case.rate, 0.3, 0.0, [], {})  # type: ignore[arg-type]


class MedianTests(SynchronousTestCase):
    """`rounds.at_most`, the one place where tails are judged."""

    skip = MISSING

    def test_one_bad_round_of_five_is_told_and_decides_nothing(self) -> None:
        """The median is within the limit."""
        verdict = rounds.at_most("p99", [each * 1000 for each in NOISY], 10_000, figures.milliseconds)
        self.assertEqual((verdict.figure, verdict.met), ("6.00 ms (4.20 ms, 5.10 ms, 13.2 ms, 6.00 ms, 7.20 ms)", True))

    def test_one_good_round_of_five_does_not_help(self) -> None:
        """The median is beyond the limit."""
        self.assertFalse(rounds.at_most("p99", [each * 1000 for each in SLOW], 10_000, figures.milliseconds).met)

    def test_round_in_which_nobody_came_through_is_a_bad_one(self) -> None:
        """It has no percentile, and does not take part as a small one."""
        self.assertFalse(rounds.at_most("p99", [1.0, math.nan, math.nan], 10.0, str).met)
        self.assertTrue(rounds.at_most("p99", [1.0, math.nan, 2.0], 10.0, str).met)


class OrderTests(SynchronousTestCase):
    """`rounds.rotated`: who is measured when."""

    skip = MISSING

    def test_nobody_has_a_place_of_his_own(self) -> None:
        """In twice as many rounds as there are, each was everywhere as often; in two, as early as late."""
        for count in range(1, 8):
            some = range(count)
            every = [rounds.rotated(some, number) for number in range(2 * count)]
            places = [sorted(each.index(one) for each in every) for one in some]
            self.assertEqual(places, [sorted((*some, *some))] * count)
            for there, back in zip(every[::2], every[1::2], strict=True):
                self.assertEqual({there.index(one) + back.index(one) for one in some}, {count - 1})


class MachineTests(SynchronousTestCase):
    """Where figures come from."""

    skip = MISSING

    def test_commit_is_unknown_where_there_is_no_git(self) -> None:
        """A measurement of ten minutes does not end for that."""
        self.patch(os, "environ", {**os.environ, "PATH": "/nowhere"})
        figures.commit.cache_clear()  # other tests of this process may have asked before
        self.addCleanup(figures.commit.cache_clear)
        self.assertIn("- commit: unknown\n", figures.machine())


class ProgramTests(SynchronousTestCase):
    """Every program that judges a tail."""

    skip = MISSING

    def unmet(self, verdicts: list[rounds.Verdict]) -> list[str]:
        """The targets that were missed."""
        return [verdict.target for verdict in verdicts if not verdict.met]

    def test_bench_judges_strays_by_the_median(self) -> None:
        """Of the rounds' p99, and of the rates at which they came."""
        sent = float(bench.STRAY_RATE)
        noisy, slow = ([bench.Flooded(sent, outcome(each)) for each in every] for every in (NOISY, SLOW))
        self.assertEqual(self.unmet(bench.judge_flood("few", noisy)), [])
        self.assertEqual(len(self.unmet(bench.judge_flood("few", slow))), 1)
        few = [bench.Flooded(rate, outcome(1.0)) for rate in (sent / 2, sent / 2, sent)]
        self.assertEqual(len(self.unmet(bench.judge_flood("few", few))), 1)

    def test_scenarios_judge_times_by_the_median_and_losses_by_their_sum(self) -> None:
        """A loss in one round is not outvoted by the others."""
        target = scarce.Target(0.999, p50=1.0, p99=10.0)
        self.assertTrue(target.met_by([outcome(each) for each in NOISY[:3]]))
        self.assertFalse(target.met_by([outcome(each) for each in SLOW[:3]]))
        self.assertTrue(target.met_by([outcome(1.0), outcome(1.0, lost=3), outcome(1.0)]))
        self.assertFalse(target.met_by([outcome(1.0), outcome(1.0, lost=4), outcome(1.0)]))
        self.assertFalse(target.met_by([outcome(1.0), outcome(1.0, misdelivered=1), outcome(1.0)]))

    def test_scenarios_judge_a_policy_by_what_it_adds(self) -> None:
        """A fifth at the median of the rounds, whatever the machine was like; and it may lose nobody."""

        def pairs(*ratios: float, lost: int = 0) -> list[bystanders.Pair]:
            return [
                bystanders.Pair(outcome(each), outcome(each * ratio, lost=lost))
                for each, ratio in zip((900.0, 1000.0, 1100.0), ratios, strict=True)
            ]

        self.assertTrue(bystanders.met(pairs(1.3, 1.15, 1.05)))
        self.assertFalse(bystanders.met(pairs(1.3, 1.25, 1.2)))
        self.assertFalse(bystanders.met(pairs(1.0, 1.0, 1.0, lost=1)))
        self.assertEqual(len({row.title for row in bystanders.ROWS}), len(bystanders.ROWS))

    def test_bench_judges_ipv6_by_its_ratio_and_guesses_by_their_sum(self) -> None:
        """One guess that reaches a host in one round of five is one too many; so is memory that grows to the end."""

        def guessed(*admitted: int, p99: float = 1.0) -> list[str]:
            runs = [bench6.Guessed(1000, float(bench6.STRAY_RATE), each, outcome(p99)) for each in admitted]
            return self.unmet(bench6.judge_guesses("few", runs))

        self.assertEqual(guessed(0, 0, 0, 0, 0), [])
        self.assertEqual(guessed(0, 0, 1, 0, 0), ["guesses by few: none admitted"])
        self.assertEqual((len(guessed(0, p99=10.0)), len(guessed(0, p99=11.0))), (0, 1))
        flat, growing = (
            bench6.Memory(each, outcome(1.0)) for each in ([50, 90, 99, 100, 100, 100], [50, 60, 70, 80, 90])
        )
        self.assertEqual(self.unmet(bench6.judge_memory(flat)), [])
        self.assertEqual(len(self.unmet(bench6.judge_memory(growing))), 1)
        costs = {
            (way.title, who): [attrs.evolve(outcome(1.0), cpu=cost)]
            for way in bench6.WAYS
            for who, cost in ((bench6.FOUR, 10.0), (bench6.SIX, 11.4 if way.title == "serial" else 11.6))
        }
        self.assertEqual(len(self.unmet(bench6.judge(costs))), 2)

    def test_scenarios_judge_dual_stack_by_those_who_come_by_ipv4(self) -> None:
        """By their median next to clients that ask for one family, by any loss, and by the resolver's reputation."""

        def run(p50: float, *, lost: int = 0, reputation: float = 1.0) -> siblings.Run:
            times = Times(100, p50 * 1000, 0.0, 0.0, 0.0, 0.0)
            came = attrs.evolve(outcome(1.0, lost=lost), ipv4=Came(100, 100, times))
            return siblings.Run(came, reputation)

        single = [run(each) for each in (10.0, 11.0, 12.0)]

        def met(*dual: siblings.Run) -> bool:
            return siblings.met([siblings.Pair(one, other) for one, other in zip(single, dual, strict=True)])

        self.assertTrue(met(run(13.0), run(12.0), run(19.0)))
        self.assertFalse(met(run(14.0), run(14.0), run(10.0)))
        self.assertFalse(met(run(10.0), run(10.0, lost=1), run(10.0)))
        self.assertFalse(met(run(10.0), run(10.0, reputation=0.89), run(10.0)))

    def test_traffic_judges_floods_by_the_median_and_losses_by_their_sum(self) -> None:
        """What a flood costs, too: each round of it is compared with a round without."""
        case = next(each for each in floods.CASES if each.title == "flood, by UDP, on")
        calm = next(each for each in floods.CASES if each.title == "no flood, by UDP, on")
        quiet = [flood(calm, 4.0) for _ in range(5)]
        tails = (5.0, 6.0, 900.0, 5.0, 7.0)
        self.assertEqual(self.unmet(floods.judge([*quiet, *(flood(case, each) for each in tails)])), [])
        tails = (500.0, 400.0, 6.0, 600.0, 5.0)
        self.assertEqual(len(self.unmet(floods.judge([*quiet, *(flood(case, each) for each in tails)]))), 2)
        lossy = [flood(case, 5.0, lost=51 if number == 3 else 0) for number in range(5)]
        self.assertEqual(len(self.unmet(floods.judge([*quiet, *lossy]))), 2)

    def test_storm_judges_queries_and_reloads_by_the_median_and_flows_by_their_sum(self) -> None:
        """A slow reload of twenty is told."""
        held = storm.Holdings(50.0, 20, 5)

        def storms(*flows: Outcome) -> list[str]:
            found = storm.Storm(Counter(applied=5), 0.1, 5.0, flows, held, held, 0.01)
            return self.unmet(storm.judge_storm(found))

        self.assertEqual(storms(*(outcome(each * 2) for each in NOISY)), [])
        self.assertEqual(len(storms(*(outcome(each * 2) for each in SLOW))), 1)
        self.assertEqual(len(storms(outcome(1.0), outcome(1.0, lost=1), outcome(1.0))), 1)
        single = storm.Single((0.5, 0.6, 1.7), (outcome(1.0),), 0.01)
        self.assertEqual(self.unmet(storm.judge_many(100, storm.Start(1.0, 1.0), single)), [])
        single = storm.Single((1.5, 0.6, 1.7), (outcome(1.0),), 0.01)
        self.assertEqual(len(self.unmet(storm.judge_many(100, storm.Start(1.0, 1.0), single))), 1)

    def test_bench_judges_answers_by_their_ratio_to_a_negative_one_and_losses_by_their_sum(self) -> None:
        """Round by round, so that a slow round of the machine's is nobody's; a reserved address is judged elsewhere."""
        dear = "the zone's SOA"

        def measured(factor: float, lost: int = 0) -> list[str]:
            costs = dict.fromkeys([question.title for question in answers.QUESTIONS], 1.0)
            costs |= {dear: factor, "an address, reserved": 9.0}
            found = {
                title: [answers.Round(1000, lost, 1.0, cost * slow / 1000) for slow in (1.0, 3.0, 1.0)]
                for title, cost in costs.items()
            }
            return self.unmet(answers.judge(found))

        self.assertEqual(measured(1.2), [])
        self.assertEqual(measured(1.3), [f"{dear}: at most 1.25 times the CPU of a negative answer"])
        self.assertEqual(measured(1.0, lost=1), ["every question is answered"])
