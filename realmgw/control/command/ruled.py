"""The answer about rules, as people read it."""

from __future__ import annotations

from collections.abc import Iterator

from realmgw.control.command.shown import Answer, listed


def rules(answer: Answer) -> Iterator[str]:
    """Stages, and classes of hosts, and under each its rules, a line for each."""
    if answer["host"] is not None:
        yield f"{answer['host']} ({answer['source']})" + ("" if answer["classes"] else ": no rules")
    rows = [
        [row["chain"].removeprefix("stage_"), row["verdict"],
         "-" if row["packets"] is None else str(row["packets"]), row["matches"] or "everything",
         row["counter"] or "-", row["origin"] or "built in"]
        for row in answer["stages"]
    ]  # fmt: skip
    if rows:
        yield from listed(("stage", "verdict", "packets", "matches", "counter", "origin"), rows, len(rows))
    for each in answer["classes"]:
        of = f" of {', '.join(each['groups'])}" if each["groups"] else ""
        yield f"class {each['number']}, {each['hosts']} hosts{of}"
        rows = [
            [f"{row['tier']} {row['priority']}", row["direction"].lower(), row["target"], str(row["packets"]),
             row["nft"][0].partition("counter name")[0].strip() or "everything",
             ": ".join(filter(None, (row["origin"], row["comment"])))]
            for row in each["rules"]
        ]  # fmt: skip
        yield from listed(("rule", "", "target", "packets", "matches", "comment"), rows, len(rows))
