"""Flow records: what became of flows, written down.

- **end**: what conntrack tells when it forgets a flow.
- **record**: an end, with the subscriber whose flow it was, the name by which a client came, and what went each way.
- **recorder**: the process beside the gateway that hears of ends and writes records. At 10 000 flows a second this
  takes a good part of a processor, which must not be the reactor's.
- **news**: what the gateway tells the recorder: hosts, and the names that flows were opened by.
- **report**: what the recorder tells the gateway: what it has counted, and what is wrong.
"""
