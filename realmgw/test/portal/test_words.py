"""Tests for `realmgw.portal.words`: who reads which language."""

from __future__ import annotations

import attrs
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.portal import Language
from realmgw.portal.words import MOST_RANGES, USUAL, WORDS, language


class LanguageTests(SynchronousTestCase):
    """`language`: the best one of those that there are."""

    def test_what_somebody_reads_best_is_taken(self) -> None:
        """By his weights; of those with the same, the first; a region does not matter, nor what there is not."""
        for accepted, tag in (
            ("", USUAL), ("de", "de"), ("de-AT,de;q=0.9,en;q=0.8", "de"), ("pl, fi;q=0.2", "fi"), ("FR-ca", "fr"),
            ("en;q=0.5, sv;q=0.9", "sv"), ("es,it", "es"), ("pl", USUAL), ("*", USUAL), ("de;q=0", USUAL),
            ("de ; q=0.3 , it ; q=0.4", "it"),
        ):  # fmt: skip
            self.assertEqual(language(accepted), tag, accepted)

    def test_nonsense_is_no_language(self) -> None:
        """And does not keep what is none from being found."""
        for accepted in (";", ",,,", "de;q=2", "de;q=", "d\xe9", "de;q=0.1234", "-", "de;q=1;q=1", "\0"):
            self.assertEqual(language(accepted), USUAL, accepted)
            self.assertEqual(language(f"{accepted},fi;q=0.1"), "fi", accepted)

    def test_not_all_of_a_long_list_is_read(self) -> None:
        """It is the sender's to make long."""
        self.assertEqual(language("pl," * (MOST_RANGES - 1) + "fi"), "fi")
        self.assertEqual(language("pl," * MOST_RANGES + "fi"), USUAL)

    @given(st.text(alphabet="deq=0.1;, -*\t", max_size=60))
    def test_whatever_is_accepted_there_is_a_language(self, accepted: str) -> None:
        """Nothing is raised."""
        self.assertIn(language(accepted), WORDS)


class WordsTests(SynchronousTestCase):
    """The languages."""

    def test_the_operator_can_write_in_all_of_them_and_no_other(self) -> None:
        """The configuration knows the same ones."""
        self.assertEqual(list(WORDS), [each.value for each in Language])

    def test_each_says_everything_in_its_own_words(self) -> None:
        """Nothing was left as it is in another."""
        for name in ("guest", "why", "link", "again", "connected", "all_is_well", "address"):
            said = [getattr(words, name) for words in WORDS.values()]
            self.assertEqual(len(set(said)), len(WORDS), name)
            self.assertTrue(all(said))

    def test_no_probe_takes_it_for_the_internet(self) -> None:
        """What devices look for in the answers to their probes does not stand in it."""
        for words in WORDS.values():
            for each in attrs.astuple(words):
                self.assertNotRegex(each, "(?i)success|microsoft|ncsi")
