"""The first packet of a flow, which decides where it goes: from the queue to the verdict.

Glossary:

first packet
    A packet from the WAN to a pool address that belongs to no flow that the kernel knows. Everything after it is the
    kernel's: user space never sees it.
verdict
    What becomes of a queued packet; it gets exactly one. *Admitted*: accepted with a host's mark. *Rejected*: accepted
    with the mark that makes the kernel's rules refuse it and tell the sender. *Dropped*: gone in silence.
mark
    The 32 bits that carry the verdict to the kernel's rules, see `realmgw.datapath.marks`.
reason
    Why a packet was not admitted, a member of `realmgw.errors.Reason`.
stray
    A packet that nobody waits for; its sender is an unsolicited one.
turn
    What the reactor does between two looks at its descriptors; here, at most so many packets.
"""
