"""The reverse proxy of the service pool, for names with `proxy_required`: HAProxy does it, we tell it of names.

- *Name*: what a client asks for, by HTTP Host or in TLS (SNI): the FQDN of a service, without the final dot.
- *Route*: what a name stands for in HAProxy's map: the host's address, its ports, and what is particular about it.
- *Map*: all names with their routes. HAProxy reads a file of it when it begins; changes are told by its runtime API.
- *Withheld*: a name whose host has rules about senders. Behind a proxy these could not be held to, so it has no route.
- *Looked at*: a name whose service asks for it has a *server* in HAProxy for each way, which is up, or down (*ill*).
- *In step*: the map of the HAProxy that runs was looked at, and is what it shall be.

`names` has what a service comes to, `configuration` what HAProxy is told at the beginning, `runtime` what is said later
and what it answers, `checked` the same of servers, `port` the program and its socket, `service` puts them together.
"""
