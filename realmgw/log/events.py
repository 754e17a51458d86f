"""What events are called: names that stay the same when their texts are put in better words.

Programs that read the log go by these, see docs/events.md. An event is known by the module that tells it and by its
text with holes, as both stand in the code; a test compares these with the code, and the names with the document.
"""

from __future__ import annotations

from collections.abc import Mapping

FAULT = "fault"
"""Of ours, wherever: it has a traceback."""
LOST = "log-lost"
"""There was no room for lines before this one."""
STUCK = "log-stuck"
"""The log's file can not be moved aside, and grows."""

EVENTS: Mapping[str, Mapping[str, str]] = {
    "alerts.service": {"alerts: not banned: {why}": "ban-failed"},
    "admission.twice": {
        "admission: whether a SYN has to come twice can not be changed now: {error}": "twice-failed",
    },
    "allocation.service": {
        "reputations: {count} of {all} could not be used": "reputations-unusable",
        "reputations: all begin anew: {why}": "reputations-unread",
        "reputations: kept again": "reputations-kept-again",
        "reputations: the file was damaged; what is left of it is now {place}": "reputations-damaged",
        "reputations: not kept, and tried again: {error}": "reputations-not-kept",
    },
    "control.amending": {"flows of hosts that are gone could not be ended: {error}": "flows-not-ended"},
    "control.apply": {
        "reload {status} after {seconds:.3f} s: {summary}": "reload-done",
        "reload asked for by {cause}": "reload-asked",
        "reload: {problem}": "reload-problem",
    },
    "control.lifecycle": {"{started}": "started", "{stopped}": "stopped", "{note}": "note"},
    "control.server": {
        "control: {command} for {who}": "command",
        "control: {command} is not begun: who asked for it is gone": "command-not-begun",
    },
    "control.service": {
        "{part}: {text}": "trouble",
        "{part}: {word}: {text}": "trouble-over",
    },
    "daemon.manager": {
        "the service manager can not be told how we are: {error}": "manager-deaf",
        "the service manager's watchdog is not told that all is well: {why}": "watchdog-unfed",
    },
    "daemon.service": {
        "{signal}: stopping": "signal",
        "{name} can not go on: {why}": "gave-up",
        "{name} can not start: {line}": "start-refused",
    },
    "dashboard.port": {
        "dashboard: {command} for {who}": "command",
        "dashboard: somebody at {who} has shown no valid token": "token-refused",
    },
    "dashboard.service": {
        "the dashboard keeps the token and the certificate that it has: {why}": "dashboard-secrets-kept",
    },
    "datapath.departing": {
        "datapath: flows that are to end go on, and it is tried again: {error}": "flows-not-ended",
    },
    "datapath.instance": {
        "instance: {error}": "instance-file",
        "instance: {error}: nothing will be kept for the next start": "state-folder-unusable",
    },
    "datapath.netlink.port": {"datapath: changes are not heard any more: {error}": "kernel-unheard"},
    "datapath.service": {
        "datapath: {change}": "datapath-set",
        "datapath: {line}": "datapath-removed",
        "datapath: {line}; it was put back": "put-back",
        "datapath: {count} more were put back": "put-back",
        "datapath: not everything was removed: {error}": "datapath-not-removed",
    },
    "datapath.strays": {
        "datapath: stray senders are not taken at present, the next ones are tried again: {error}": "strays-not-taken",
    },
    "dns.forward.keeping": {
        "{why}: begun anew in {wait} s": "forwarder-begun-anew",
        "{what}, {count} times wrong: {said}": "forwarder-faulty",
    },
    "dns.forward.service": {
        "the resolver {resolver} does not answer: {why}": "resolver-silent",
        "the resolver {resolver} answers again": "resolver-again",
    },
    "dns.service": {"the networks of the LANs are not known: {why}": "lans-unknown"},
    "dns.update.updater": {"an update from {source}, {signed}, gets {rcode}: {why}": "update-refused"},
    "log.service": {"{summary}": "summary"},
    "portal.service": {"the portal keeps the certificate that it has: {why}": "portal-certificate-kept"},
    "records.service": {"{why}: begun anew in {wait} s": "records-begun-anew"},
    "repository.port": {
        "the database: {error}": "database-failed",
        "a connection of {who} was closed: {why} ({count} since last told)": "connection-closed",
    },
    "repository.tap": {
        "repository {identity} is at version {version}, and listens {terms}": "repository-started",
        "{path} can be read by everybody on this machine: chmod 640 {path}": "secret-exposed",
    },
    "subscribers.leases.keeping": {
        "what could not be registered is on disk until it is written again: {why}": "lease-left-on-disk",
    },
    "subscribers.leases.service": {"{name} has expired, and stays: {why}": "lease-stays"},
    "synnode.server": {
        "{peer} is connected": "gateway-connected",
        "{peer} is gone; what it has said holds on": "gateway-gone",
        "{peer} has connected, and is none of `clients`": "gateway-unknown",
        "{peer} has no place: {most} are connected": "gateway-refused",
    },
    "synnode.service": {
        "{change}": "datapath-set",
        "{count} entries of an earlier run stand, until a gateway says otherwise": "entries-adopted",
        "gateways are served at {address} port {port}": "synproxy-started",
        "{removed}": "datapath-removed",
        "not everything was removed: {error}": "datapath-not-removed",
        "the kernel has refused a change, so the whole table is placed: {error}": "change-refused",
        "{broken}": "trouble",
        "{repaired}; it was put back": "put-back",
        "all is well again": "trouble-over",
    },
    "synproxy.service": {
        "the SYN proxy {proxy} is in step": "synproxy-in-step",
        "SYN proxies stay as they were: {why}": "synproxies-kept",
    },
    "tap.kept": {"not kept for the next start: {why}": "last-good-not-kept"},
    "tap.plugin": {
        "{line}": "note",
        "the configuration can not be used: this is the last good one. Problems:": "last-good-used",
        "{problem}": "configuration-problem",
        "subscribers: {problem}": "subscribers-problem",
        "what subscriber files said last is not known: {error}": "last-good-unread",
    },
    "webproxy.service": {
        "{count} names get no clients, as their hosts are not well: {names}": "webproxy-hosts-ill",
        "{count} names whose hosts were not well get clients again, or are gone: {names}": "webproxy-hosts-well",
        "the web proxy is started anew: the service pool has other addresses": "webproxy-started-anew",
        "the web proxy runs, with {count} names": "webproxy-started",
    },
}
"""The names, by module and text."""


def name_of(part: str, text: str, *, is_fault: bool = False) -> str:
    """What an event is called; empty: it is none of ours.

    Args:
        part: The module that tells it, or a class in it.
        text: With its holes.
        is_fault: Whether it has a traceback.
    """
    known = EVENTS.get(part) or EVENTS.get(part.rpartition(".")[0]) or {}
    return known.get(text) or (FAULT if is_fault else "")
