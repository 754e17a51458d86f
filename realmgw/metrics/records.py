"""Metrics of flow records: what was written, and what is missing."""

from __future__ import annotations

from realmgw.metrics.declared import Metric, at, by, counter, gauge

RECORDS: tuple[Metric, ...] = (
    counter(
        "flow_records",
        "Flows that have ended, by what became of their records; others are nobody's on a LAN.",
        *by("result", "records", "written unwritten lost malformed others"),
    ),
    counter("flow_records_unnamed", "Records of clients without the name that they came by.", at("records.unnamed")),
    counter("flow_names_untold", "Flows that were let in, and the recorder was not told of.", at("records.untold")),
    counter("flow_record_overruns", "Times that more flows ended than could wait.", at("records.overruns")),
    counter("flow_recorders", "Times that the recorder was begun.", at("records.begun")),
    counter("flow_record_lines_cut", "Half lines that were taken away.", at("records.cut")),
    counter("flow_records_unkept", "Records that could not be kept in the database.", at("records.unkept")),
    counter(
        "flow_records_exports",
        "Records for the IPFIX collector, by whether they were sent; loss on the way is not known.",
        *by("result", "records", sent="exported", lost="unexported"),
    ),
    gauge("flow_records_unsent", "Records that wait for the collector.", at("records.unsent")),
    counter(
        "flow_group_flows",
        "Flows of a group's hosts that have ended, where flows are recorded.",
        at("records.groups.{group}.flows"),
    ),
    counter(
        "flow_group_octets",
        "What its hosts have had, from the network header on.",
        *by("direction", "records.groups.{group}", **{"in": "octets_in", "out": "octets_out"}),
    ),
    gauge("flow_records_waiting", "Ends that wait for the names of their flows.", at("records.waiting")),
    counter("flow_records_unlisted", "Times that not all flows could be looked at.", at("records.unlisted")),
    gauge("flow_records_lasting", "Flows that last, and were looked at.", at("records.lasting")),
    gauge("flow_names_open", "Flows whose names are known, and that have not ended.", at("records.open")),
)
"""All of them."""
