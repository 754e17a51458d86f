"""Tests for `realmgw.subscribers.remote.state`, beside a model of it."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.errors import MalformedError
from realmgw.subscribers.exchange import Head, head_line
from realmgw.subscribers.remote.snapshot import says_else
from realmgw.subscribers.remote.state import RemoteState
from realmgw.test.repository.site import host, lines

NAMES = st.sampled_from(["a.example.org.", "b.example.org.", "c.example.com."])
GOOD = st.builds(host, st.integers(1, 3))
CHANGES = st.lists(st.dictionaries(NAMES, st.none() | GOOD | st.just({"adress": 1}), max_size=3), max_size=6)


def text(version: str, since: str | None, documents: dict[str, Any]) -> list[bytes]:
    """Documents for exchange, as lines."""
    body = lines(*(("subscribers", name, value) for name, value in documents.items()))
    return [head_line(Head(version, since, len(documents))), *body.splitlines(keepends=True)]


class RemoteStateTests(SynchronousTestCase):
    """What is known of a repository."""

    def setUp(self) -> None:
        """Nothing yet."""
        self.nothing = RemoteState("http://192.0.2.1")

    @given(CHANGES)
    def test_changes_lead_where_everything_leads(self, changes: list[dict[str, Any]]) -> None:
        """Entries, refusals and all; what can not be used is left out by itself."""
        state = self.nothing.amended(text("0", None, {}))
        model: dict[str, Any] = {}
        for number, change in enumerate(changes, 1):
            state = state.amended(text(str(number), str(number - 1), change))
            model = {name: value for name, value in {**model, **change}.items() if value is not None}
        usable = {name for name, value in model.items() if "address" in value}
        self.assertEqual(set(state.snapshot.entries), usable)
        self.assertEqual({name for _, name in state.refused}, model.keys() - usable)
        self.assertEqual(len(state.snapshot.problems) > 0, bool(state.refused))
        whole = state.amended(text("whole", None, model))
        self.assertFalse(says_else(state.snapshot, whole.snapshot))
        self.assertEqual(sorted(whole.snapshot.problems), sorted(state.snapshot.problems))

    def test_a_former_state_is_not_changed(self) -> None:
        """Values stay what they are."""
        before = self.nothing.amended(text("1", None, {"a.example.org.": host(1)}))
        before.amended(text("2", "1", {"a.example.org.": None}))
        self.assertEqual(list(before.snapshot.entries), ["a.example.org."])

    def test_changes_since_another_version_are_refused(self) -> None:
        """They would leave out what is between."""
        self.assertRaises(MalformedError, self.nothing.amended, text("2", "1", {}))
