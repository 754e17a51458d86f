"""The SYN proxy node, `twistd realmgw-synproxy`: a process of its own on the router in front of gateways.

It is told by the control protocol (`realmgw.synproxy.codec`) which TCP options are to be answered with, and has the
kernel's own SYN proxy do that, by nftables. It knows neither hosts nor the allocation of a gateway.

Glossary. The *outside* are the interfaces that clients' SYNs come from. *Guarded* are the addresses whose SYNs are
answered here. An *entry* has a key (address, port or any, protocol or any) and the options that clients are given. A
*target* is what the kernel looks up: an address and a port, either of them perhaps any; of several entries of one
target, that of TCP counts. *Variety* is how many different options there are: for each the kernel has an object.
"""
