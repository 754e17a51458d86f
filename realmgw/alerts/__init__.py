"""Alerts of an intrusion detection system, and what the gateway does about them.

Glossary:

EVE
    What Suricata writes: an object of JSON for each event, in a line. Those of `event_type` `alert` are alerts.
signature
    The rule of the intrusion detection system that has matched, by its number.
view
    Where a packet was seen, and which way it went: outside with the address of the pool or inside with the host's, to
    the host or from it. An alert has one of these four, and all of them are one flow to conntrack.
client
    Who began a flow into a host.
proven
    A flow is, when conntrack has seen a handshake to its end: then the client is where his address says.
ban
    A client of whom nothing more reaches a host for a while.
"""
