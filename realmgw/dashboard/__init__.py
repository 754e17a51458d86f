"""The dashboard: one page for operators, live while somebody looks.

A *place* is where it is served: an address, or a unix socket. Who comes by an address shows the *token* once and has a
*session* from then on, which a cookie stands for. A *reader* is a page that is open: it is told every second what goes
on. A *snapshot* is what all readers are told then; it is gathered by the commands that the `realmgw` command has as
well, so nothing is told here that is not told there. With no reader, nothing is done at all.
"""
