"""Which rule of the operator's an alert falls under."""

from __future__ import annotations

from collections.abc import Iterable

from realmgw.alerts.eve import Alert
from realmgw.config.alerts import AlertRule

KNOWN = 4096
"""So many kinds of alerts are remembered with their rules; then it begins anew."""


class Rules:
    """The rules, in their order.

    Args:
        rules: Those.
    """

    def __init__(self, rules: Iterable[AlertRule]) -> None:
        self._rules = [
            (number, rule, frozenset(rule.signatures), frozenset(each.lower() for each in rule.categories))
            for number, rule in enumerate(rules, 1)
        ]
        self._known: dict[tuple[int, int, str], tuple[int, AlertRule] | None] = {}

    def of(self, alert: Alert) -> tuple[int, AlertRule] | None:
        """The first rule that holds, and its number, from 1 on; None: there is none."""
        kind = alert.signature, alert.severity, alert.category
        if kind not in self._known:
            if len(self._known) >= KNOWN:
                self._known.clear()
            self._known[kind] = self._find(*kind)
        return self._known[kind]

    def _find(self, signature: int, severity: int, category: str) -> tuple[int, AlertRule] | None:
        for number, rule, signatures, categories in self._rules:
            if signatures and signature not in signatures:
                continue
            if rule.severity is not None and severity > rule.severity:
                continue
            if not categories or category.lower() in categories:
                return number, rule
        return None
