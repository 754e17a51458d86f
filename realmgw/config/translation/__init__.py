"""Rules of iptables in policy files of existing deployments, in the words of `policy.pipeline`.

`iptables` reads what they say, `recognition` knows which of them the gateway has a word for, `wording` writes it down;
`stages` decides what becomes of each rule, and `served` of those about what the gateway itself serves.
"""

from realmgw.config.translation.stages import translating as translating
