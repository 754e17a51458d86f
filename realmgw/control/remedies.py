"""What would have helped whoever was refused, by the reason: for operators, who can do something about it."""

from __future__ import annotations

from collections.abc import Mapping

from realmgw.errors import Reason

REMEDIES: Mapping[Reason, str] = {
    Reason.EXHAUSTED: "more pool addresses, or fewer claims that nobody uses: see resolvers of bad reputation",
    Reason.WAITED: "more pool addresses, or a longer allocation.wait_udp and wait_tcp",
    Reason.QUEUE_FULL: "more pool addresses; a larger allocation.max_waiting lets more wait, and none is served sooner",
    Reason.HOST_LIMIT: "a larger max_claims of the host, if its many clients are real",
    Reason.POLICY: "a better reputation: the resolver's clients have to come; or a group for it, or another policy",
    Reason.WITHDRAWN: "nothing: the host is gone; its name is not answered any more",
    Reason.STOPPING: "nothing: the resolver asks again, and the next gateway answers",
    Reason.CLAIM_LIMIT: "a larger policy.max_claims, and pool addresses for it",
    Reason.DEGRADED: "mending what is wrong: the health says what, and `realmgw doctor` how",
    Reason.GONE: "a longer patience of whoever asks by TCP, or more pool addresses, so that nobody waits",
    Reason.NOT_OURS: "a route less: what is led here is no address of the pool",
    Reason.NO_RESERVATION: "asking for the name first; or coming sooner, before the address has passed on",
    Reason.NO_CLAIM: "asking for the name again: others have used what was asked for",
    Reason.OTHER_NETWORK: "a resolver that names its clients rightly (EDNS Client Subnet), or no agreement with it",
    Reason.LATE: "coming sooner; or a longer allocation.linger, with pool addresses for it",
    Reason.TRUNCATED: "nothing: the packet is broken, or forged",
    Reason.BAD_HEADER: "nothing: the packet is broken, or forged",
    Reason.FRAGMENT: "smaller packets: what begins a flow has to come whole",
    Reason.ZERO_PORT: "nothing: nobody sends from port 0 but scanners",
    Reason.NOT_INITIAL: "beginning the flow anew: what it belongs to is not known here any more",
    Reason.FAULT: "a report to us: the log has the fault",
    Reason.STOPPED: "nothing: the sender tries again, and the next gateway lets it in",
    Reason.CROWDED: "nothing: an honest sender tries again and gets in; allocation.candidate_rate bounds how many may",
    Reason.PASSED_ON: "asking for the name again; or a longer timeout in conntrack for flows that pause",
}
"""By reason; every one has one."""


def remedy(name: str) -> str:
    """What would have helped, by a reason's name as counters have it; empty for what is none."""
    try:
        return REMEDIES[Reason[name.upper()]]
    except KeyError:
        return ""
