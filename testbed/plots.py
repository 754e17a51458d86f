"""Pictures of what `testbed.traffic` measured. The only module that needs matplotlib."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

COLOURS = {"off": "#c0392b", "on": "#1f6fb2"}
"""Of the defences."""
DOTS = 80  # per inch
"""Of the pictures: small files."""
LINES = 8
"""So many reputations are drawn."""


def draw(kept: Mapping[str, Any], folder: Path) -> list[Path]:
    """Draws everything.

    Args:
        kept: As `testbed.traffic` keeps it.
        folder: Where to.

    Returns:
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    if kept["noise"]:
        drawn.append(_shares(kept["noise"], "success", "success, %", 100.0, folder / "success.png"))
        drawn.append(_shares(kept["noise"], "p99", "99th percentile, ms", 1000.0, folder / "delay.png"))
    most = max((run["share"] for run in kept["noise"]), default=0.0)
    courses = [(f"{run['noise']} {run['share']:.0%}", run) for run in kept["noise"] if run["share"] == most]
    courses = [(title, run) for title, run in courses if run["defence"] == "on"]
    courses += [(flood["title"], flood) for flood in kept["floods"] if not flood["title"].startswith("no ")]
    courses = [(title, run) for title, run in courses if run["looks"]]
    if courses:
        drawn.append(_courses(courses, folder / "course.png"))
    return drawn


def _shares(runs: Sequence[Mapping[str, Any]], key: str, label: str, scale: float, path: Path) -> Path:
    """A small picture for each kind of noise: a figure over the noise's share, with the defences off and on."""
    kinds = list(dict.fromkeys(run["noise"] for run in runs if run["noise"] != "none"))
    figure, axes = plt.subplots(1, max(len(kinds), 1), figsize=(3.0 * len(kinds) + 1, 3.0), sharey=True, squeeze=False)
    for kind, axis in zip(kinds, axes[0], strict=False):
        for defence, colour in COLOURS.items():
            points = sorted(
                (run["share"] * 100, run[key] * scale)
                for run in runs
                if run["noise"] in (kind, "none") and run["defence"] == defence
            )
            axis.plot(*zip(*points, strict=True), marker="o", color=colour, label=f"defences {defence}")
        axis.set_title(kind)
        axis.set_xlabel("noise, % of the honest load")
        axis.grid(alpha=0.3)
    axes[0][0].set_ylabel(label)
    axes[0][-1].legend(fontsize="small")
    return _save(figure, path)


def _courses(courses: Sequence[tuple[str, Mapping[str, Any]]], path: Path) -> Path:
    """The pool above and the reputations below, a column for each run."""
    figure, axes = plt.subplots(2, len(courses), figsize=(3.2 * len(courses) + 1, 5.0), squeeze=False, sharex="col")
    for (title, run), pool, standing in zip(courses, axes[0], axes[1], strict=True):
        looks = run["looks"]
        times = [look["when"] for look in looks]
        states = {key: [look[key] for look in looks] for key in ("waiting", "lingering", "free")}
        pool.stackplot(times, *states.values(), labels=list(states), colors=["#c0392b", "#e6b35c", "#8fbf8f"])
        pool.set_title(title, fontsize="small")
        for group in _interesting(looks):
            heard = [(look["when"], look["standing"][group]) for look in looks if group in look["standing"]]
            standing.plot(*zip(*heard, strict=True), label=group)
        standing.set_ylim(-0.02, 1.02)
        standing.set_xlabel("s")
        standing.grid(alpha=0.3)
        if _interesting(looks):
            standing.legend(fontsize=6)
    axes[0][0].legend(fontsize=6, loc="upper left")
    axes[0][0].set_ylabel("addresses")
    axes[1][0].set_ylabel("reputation")
    return _save(figure, path)


def _interesting(looks: Iterable[Mapping[str, Any]]) -> list[str]:
    """Groups that were seen most often."""
    seen: dict[str, int] = {}
    for look in looks:
        for group in look["standing"]:
            seen[group] = seen.get(group, 0) + 1
    return sorted(sorted(seen, key=lambda group: -seen[group])[:LINES])


def _save(figure: Any, path: Path) -> Path:
    figure.tight_layout()
    figure.savefig(path, dpi=DOTS)
    plt.close(figure)
    return path
