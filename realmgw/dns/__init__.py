"""The DNS server of the realm.

Glossary:
    wire name: a name as RFC 1035 section 3.1 puts it on the wire, uncompressed, lower case, with the root's zero octet.
    question: the octets of the question section; they go back as they came, so that the asker's case (0x20) is kept.
    asker: who sent a query, and how an answer reaches him.
    resolver: the asker's address; what reservations are attributed to.
    view: one side of the server: the WAN's lends pool addresses, the LAN's gives the private ones.
    zone table: every name that we are authoritative for, compiled from the settings and the directory.
"""
