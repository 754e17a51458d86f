"""Pictures of what `testbed.programs.traffic` measured, one for each question. The only module that needs matplotlib.

Each is as wide as a page shows it (`WIDTH`), so that nothing in it is made smaller there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

DOTS = 100  # per inch
"""Of the pictures."""
WIDTH = 8.6  # inches
"""What a page of a repository shows without making it smaller."""
PANEL = 2.9  # inches
"""The height of one row of panels."""
DEFENCES = {"off": ("#c0392b", "--"), "on": ("#1f6fb2", "-")}
"""The defences -> colour and kind of line."""
STATES = {"waiting": "#c0392b", "lingering": "#e6b35c", "free": "#8fbf8f"}
"""The colours of what an address does."""
WORDS = {"waiting": "waits for a first packet", "lingering": "used, and may be had", "free": "nobody's"}
"""What it does, in words."""
ROLES = {"honest": ("100.64.3.", "#1f6fb2"), "attackers": ("100.64.4.", "#c0392b"), "forged": ("100.66.", "#888888")}
"""Who asks -> how their addresses begin, and their colour."""

Run = Mapping[str, Any]
"""A run under noise or under a flood, as `testbed.programs.traffic` keeps it."""


def draw(kept: Mapping[str, Any], folder: Path) -> list[Path]:
    """Draws everything that was measured.

    Args:
        kept: As `testbed.programs.traffic` keeps it.
        folder: Where to.

    Returns:
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    noise = kept["noise"]
    most = max((run["share"] for run in noise), default=0.0)
    noisy = _first([run for run in noise if run["share"] == most and run["defence"] == "on"], "noise")
    flooded = _first([run for run in kept["floods"] if run["title"].startswith("flood, by UDP, ")], "title")
    wanted: list[tuple[str, Any, Callable[[Any, Path], None]]] = [
        ("success.png", noise, lambda runs, path: _shares(runs, "success", "success, %", 100.0, path)),
        ("delay.png", noise, lambda runs, path: _shares(runs, "p99", "99th percentile, ms", 1000.0, path)),
        ("noise-pool.png", noisy, _pool),
        ("noise-reputation.png", noisy, _reputation),
        ("flood-pool.png", flooded, _pool),
    ]
    drawn = []
    for name, runs, draw_one in wanted:
        if runs:
            draw_one(runs, folder / name)
            drawn.append(folder / name)
    return drawn


def _first(runs: Iterable[Run], key: str) -> dict[str, Run]:
    """The first run of each title whose course is known."""
    found: dict[str, Run] = {}
    for run in runs:
        if run["looks"]:
            found.setdefault(run[key], run)
    return found


def _panels(titles: Sequence[str], across: int, **how: Any) -> tuple[Any, list[Any]]:
    """A picture with a panel for each title, so many side by side."""
    down = -(-len(titles) // across)
    size = (WIDTH, PANEL * down + 0.4)
    figure, axes = plt.subplots(down, across, figsize=size, squeeze=False, layout="constrained", **how)
    panels = list(axes.flat)
    for panel in panels[len(titles) :]:
        panel.set_visible(False)
    for panel, title in zip(panels, titles, strict=False):
        panel.set_title(title, fontsize=11)
        panel.grid(alpha=0.3)
    for panel in panels[: len(titles)][-across:]:  # also where the last row leaves a gap below
        panel.tick_params(labelbottom=True)
    return figure, panels[: len(titles)]


def _finish(figure: Any, across: str, up: str, path: Path) -> None:
    """Titles of the axes, one legend for all panels above them, and the file."""
    found: dict[str, Any] = {}
    for panel in figure.axes:
        found.update(zip(*reversed(panel.get_legend_handles_labels()), strict=True))
    figure.legend(
        found.values(), found.keys(), loc="outside upper center", ncols=len(found), fontsize=10, frameon=False
    )
    figure.supxlabel(across, fontsize=10)
    figure.supylabel(up, fontsize=10)
    figure.savefig(path, dpi=DOTS)
    plt.close(figure)


def _shares(runs: Sequence[Run], key: str, label: str, scale: float, path: Path) -> None:
    """A panel for each kind of noise: a figure over the noise's share, with the defences off and on."""
    kinds = list(dict.fromkeys(run["noise"] for run in runs if run["noise"] != "none"))
    figure, panels = _panels(kinds, min(3, len(kinds)), sharey=True, sharex=True)
    for kind, panel in zip(kinds, panels, strict=True):
        for defence, (colour, dash) in DEFENCES.items():
            points: dict[float, list[float]] = {}
            for run in runs:
                if run["noise"] in (kind, "none") and run["defence"] == defence:
                    points.setdefault(run["share"] * 100, []).append(run[key] * scale)
            line = sorted((share, sum(values) / len(values)) for share, values in points.items())
            look = {"marker": "o", "markersize": 4, "color": colour, "linestyle": dash}
            panel.plot(*zip(*line, strict=True), label=f"defences {defence}", **look)
    _finish(figure, "noise, % of the honest load", label, path)


def _pool(runs: Mapping[str, Run], path: Path) -> None:
    """A panel for each run: what the addresses do, over the time since the noise or the flood began."""
    figure, panels = _panels(list(runs), min(len(runs), 2))
    for run, panel in zip(runs.values(), panels, strict=True):
        looks = run["looks"]
        states = [[look[state] for look in looks] for state in STATES]
        times = [look["when"] for look in looks]
        panel.stackplot(times, *states, labels=WORDS.values(), colors=STATES.values(), step="post")
        panel.margins(0)
        panel.yaxis.get_major_locator().set_params(integer=True)
        panel.axvline(0.0, color="black", linewidth=1, linestyle=":")
    _finish(figure, "seconds since it began", "addresses", path)


def _reputation(runs: Mapping[str, Run], path: Path) -> None:
    """A panel for each run: the reputation of those who ask, by who they are."""
    figure, panels = _panels(list(runs), min(len(runs), 2), sharey=True)
    for run, panel in zip(runs.values(), panels, strict=True):
        for group in _groups(run["looks"]):
            heard = [(look["when"], look["standing"][group]) for look in run["looks"] if group in look["standing"]]
            role = next((role for role, (begin, _) in ROLES.items() if group.startswith(begin)), None)
            if role is not None:
                panel.plot(*zip(*heard, strict=True), color=ROLES[role][1], label=role, linewidth=1.8)
        panel.set_ylim(-0.02, 1.02)
        panel.axvline(0.0, color="black", linewidth=1, linestyle=":")
    _finish(figure, "seconds since it began", "reputation", path)


def _groups(looks: Iterable[Run]) -> list[str]:
    """The groups that were seen, in a steady order."""
    return sorted({group for look in looks for group in look["standing"]})
