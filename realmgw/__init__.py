"""A Realm Gateway: hosts behind NAT, reachable by name from the public Internet.

Glossary. A *realm* is a private network behind one gateway. A *subscriber* is a host of the realm; its *services* are
the names under which it can be reached. The *circular pool* is the set of public addresses that the gateway lends to
services, one after the other. A DNS query for a service makes a *claim*: somebody is about to come. The address at
which he may come is a *reservation*: (address, service) -> host, with one claim or more. The *first packet* of a flow
uses up a claim; it gets a *verdict*, and with it a *mark*, by which the kernel's own NAT carries the rest of the
flow. The *resolver group* is who asks on behalf of many clients; the *requestor* is the client that it asks for,
where that is known.
"""

__version__ = "0.1.0.dev0"  # of a checkout: in what is built from it, setup.py writes that of git's tag
