"""Challenges: each switch, each proof, each memory of a group."""

from __future__ import annotations

import math

import attrs
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.reputation.challenges import (
    JUST_PASSED,
    KNOWN,
    Challenge,
    Proof,
    due,
    is_stray,
    note,
    passed,
)
from realmgw.allocation.reputation.group import Group
from realmgw.config.policy import Challenges

NOW = 1000.0
UDP, COOKIE, TCP = Proof
BADCOOKIE, TC, CNAME = Challenge


def rules(words: str) -> Challenges:
    """Switches by their names."""
    return Challenges(**dict.fromkeys(words.split(), True))


def group(
    *challenges: Challenge, ago: float = 100.0, reputation: float = 0.5, doubted_until: float = -math.inf
) -> Group:
    """A group that has passed these."""
    made = Group("198.51.100.53")
    made.reputation.set(reputation, now=NOW)
    made.word.doubted_until = doubted_until
    for challenge in challenges:
        note(made, challenge, now=NOW - ago)
    return made


class SwitchTests(SynchronousTestCase):
    """What is due by which switch; the rows are the clauses."""

    def due(self, words: str, proof: Proof, alias: bool = False, cookie: bool = False) -> Challenge | None:
        """Of somebody who is not known."""
        return due(rules(words), proof=proof, alias=alias, group=None, cookie=cookie, pressed=False, now=NOW)

    def test_challenges_as_the_switches_say(self) -> None:
        """For a name by bare UDP, with a cookie, by TCP; for an alias the same."""
        rows: dict[str, tuple[str, list[Challenge | None]]] = {
            "no switch: nothing": ("", [None] * 6),
            "log_untrusted: counting only": ("log_untrusted", [None] * 6),
            "tcp: the first query must come by TCP; aliases may come by UDP": (
                "tcp",
                [TC, None, None, None, None, None],
            ),
            "cname: an address is given only for an alias": ("cname", [CNAME, CNAME, CNAME, None, None, None]),
            "tcp and cname: TCP, then an alias": ("tcp cname", [TC, CNAME, CNAME, None, None, None]),
            "tcpcname: answered only over TCP, and only through an alias": (
                "tcpcname",
                [TC, CNAME, CNAME, TC, None, None],
            ),
            "tcpcname goes before the others": ("tcpcname tcp cname adaptive", [TC, CNAME, CNAME, TC, None, None]),
            "adaptive: a proof is enough": ("adaptive", [TC, None, None, None, None, None]),
            "adaptive goes before tcp and cname": ("adaptive tcp cname", [TC, None, None, None, None, None]),
        }
        for clause, (words, expected) in rows.items():
            with self.subTest(clause):
                found = [self.due(words, proof, alias) for alias in (False, True) for proof in Proof]
                self.assertEqual(found, expected)

    def test_demands_the_cookie_of_who_knows_cookies(self) -> None:
        """Wherever TC would be due: a round trip by UDP instead of a connection."""
        for words in ("tcp", "tcpcname", "adaptive", "tcp cname"):
            self.assertIs(self.due(words, UDP, cookie=True), BADCOOKIE, words)
        self.assertIs(self.due("tcpcname", UDP, alias=True, cookie=True), BADCOOKIE)
        self.assertIs(self.due("cname", UDP, cookie=True), CNAME)


class AdaptiveTests(SynchronousTestCase):
    """What is due of whom by bare UDP in adaptive mode."""

    def due(self, of: Group | None, cookie: bool = False, pressed: bool = False) -> Challenge | None:
        """Of a group."""
        return due(rules("adaptive"), proof=UDP, alias=False, group=of, cookie=cookie, pressed=pressed, now=NOW)

    def test_demands_nothing_of_who_is_known(self) -> None:
        """Passed lately, taken at its word, and the pool not pressed: all three."""
        rows = {
            "known": (group(TC), False, None),
            "passed long ago": (group(TC, ago=KNOWN + 1), False, TC),
            "doubted": (group(TC, doubted_until=NOW + 1.0), False, TC),
            "of bad standing": (group(TC, reputation=0.0), False, None),
            "the pool is pressed": (group(TC), True, TC),
            "never passed anything": (group(), False, TC),
            "not known at all": (None, False, TC),
        }
        for clause, (of, pressed, expected) in rows.items():
            with self.subTest(clause):
                self.assertIs(self.due(of, pressed=pressed), expected)

    def test_never_challenges_twice_in_a_row(self) -> None:
        """Who has passed just now, even if the pool is pressed; but not who is not taken at its word."""
        self.assertIsNone(self.due(group(CNAME, ago=JUST_PASSED), pressed=True))
        self.assertIs(self.due(group(CNAME, ago=JUST_PASSED + 0.1), pressed=True), CNAME)
        self.assertIs(self.due(group(CNAME, ago=0.0, doubted_until=NOW + 1.0), pressed=True), CNAME)

    def test_demands_what_the_group_has_passed_before(self) -> None:
        """The cheapest of it: TC before CNAME, and the cookie before both where the query has one."""
        long = KNOWN + 1
        rows = {
            "TC": (group(TC, ago=long), TC),
            "CNAME": (group(CNAME, ago=long), CNAME),
            "both": (group(TC, CNAME, ago=long), TC),
            "a cookie only": (group(BADCOOKIE, ago=long), TC),
            "none": (None, TC),
        }
        for clause, (of, expected) in rows.items():
            with self.subTest(clause):
                self.assertIs(self.due(of), expected)
                self.assertIs(self.due(of, cookie=True), BADCOOKIE)


class NoteTests(SynchronousTestCase):
    """What is noted."""

    def test_tells_what_a_query_shows(self) -> None:
        """An alias is a challenge passed whatever it comes by."""
        self.assertEqual([passed(proof, alias=False) for proof in Proof], [None, BADCOOKIE, TC])
        self.assertEqual([passed(proof, alias=True) for proof in Proof], [CNAME] * 3)

    def test_notes_all_that_was_passed_and_when_last(self) -> None:
        """As bits of their own."""
        of = group(TC, CNAME, ago=3.0)
        self.assertEqual((of.passed, of.proven_at), (TC | CNAME, NOW - 3.0))

    def test_knows_an_alias_that_went_astray(self) -> None:
        """From another group by bare UDP."""
        found = [is_stray(proof=proof, same_group=same) for same in (False, True) for proof in Proof]
        self.assertEqual(found, [True, False, False, False, False, False])


class PropertyTests(SynchronousTestCase):
    """Whatever the switches."""

    @given(
        st.builds(Challenges, *[st.booleans()] * len(attrs.fields(Challenges))),
        st.booleans(),
        st.booleans(),
        st.sampled_from([None, group(TC), group(CNAME, reputation=0.0)]),
        st.booleans(),
    )
    def test_ends(self, switches: Challenges, cookie: bool, pressed: bool, of: Group | None, by_alias: bool) -> None:
        """Who does what he is told is given an address after two challenges at most, and never the same one twice."""
        proof, alias, told = UDP, by_alias, []
        while challenge := due(switches, proof=proof, alias=alias, group=of, cookie=cookie, pressed=pressed, now=NOW):
            told.append(challenge)
            self.assertLessEqual(len(told), 2)
            if challenge is CNAME:
                alias = True
            else:
                proof = TCP if challenge is TC else COOKIE
        self.assertEqual(len(set(told)), len(told))

    @given(st.builds(Challenges, *[st.booleans()] * len(attrs.fields(Challenges))), st.booleans(), st.booleans())
    def test_never_demands_more_of_a_proof(self, switches: Challenges, alias: bool, cookie: bool) -> None:
        """Bare UDP is due no less than a cookie, and a cookie as much as TCP."""

        def what(proof: Proof) -> Challenge | None:
            return due(switches, proof=proof, alias=alias, group=None, cookie=cookie, pressed=False, now=NOW)

        self.assertIs(what(COOKIE), what(TCP))
        if what(UDP) is None:
            self.assertIsNone(what(TCP))
