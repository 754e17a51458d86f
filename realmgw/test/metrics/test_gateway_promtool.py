"""The alerts in `conf/` by Prometheus' own program: what makes each of them fire, and what does not."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from realmgw.test.checkout import NO_CHECKOUT
from realmgw.test.metrics.promtool import missing, promtool
from realmgw.test.metrics.test_gateway_conf import RULES, TRIED, panels, rules, tries

FIRED = re.compile(r'alertname="(\w+)"')


class PromtoolTests(SynchronousTestCase):
    """Series in, alerts out."""

    skip = NO_CHECKOUT or missing()

    def test_the_alerts_are_understood(self) -> None:
        """Expressions, and what is written with values in it."""
        status, said = promtool("check", "rules", "--lint=all", "--lint-fatal", str(RULES))
        self.assertEqual(status, 0, said)
        self.assertIn(f"{len(rules())} rules found", said)

    def test_each_fires_for_what_it_is_about(self) -> None:
        """And nothing else does: each time it is told which do, of all."""
        status, said = promtool("test", "rules", str(TRIED))
        self.assertEqual(status, 0, said)

    def test_none_is_left_out(self) -> None:
        """Each fires somewhere, and each time something does not."""
        fired = set[str]()
        for case in tries():
            quiet = [each for each in case["promql_expr_test"] if not each.get("exp_samples")]
            self.assertTrue(quiet, case["name"])
            for each in case["promql_expr_test"]:
                fired.update(*(FIRED.findall(sample["labels"]) for sample in each.get("exp_samples", ())))
            fired.update(each["alertname"] for each in case.get("alert_rule_test", ()) if each["exp_alerts"])
        self.assertEqual({each["alert"] for each in rules()}, fired)

    def test_what_the_dashboard_asks_for_is_understood(self) -> None:
        """As rules of their own, with something in the place of Grafana's variables; one that is not whole is seen."""
        every = {target["expr"] for panel in panels() for target in panel["targets"]}
        status, said = self.understood(sorted(every))
        self.assertEqual(status, 0, said)
        self.assertIn(f"{len(every)} rules found", said)
        some, *others = sorted(every)
        self.assertEqual(self.understood([f"{some})", *others])[0], 1)

    def understood(self, expressions: list[str]) -> tuple[int, str]:
        """What promtool says of them."""
        rules = [
            {"record": f"panel:{number}", "expr": each.replace("$__rate_interval", "1m").replace("$instance", "gw")}
            for number, each in enumerate(expressions)
        ]
        path = Path(self.mktemp())
        path.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
        return promtool("check", "rules", "--lint=none", str(path))

    def test_a_threshold_that_is_another_is_seen(self) -> None:
        """By what then does not fire."""
        folder = Path(self.mktemp())
        folder.mkdir()
        shutil.copy(TRIED, folder)
        changed = RULES.read_text().replace("0.85 * realmgw_conntrack_limit", "0.95 * realmgw_conntrack_limit")
        (folder / RULES.name).write_text(changed)
        status, said = promtool("test", "rules", str(folder / TRIED.name))
        self.assertEqual(status, 1, said)
        self.assertIn("RealmgwConntrackNearlyFull", said)
