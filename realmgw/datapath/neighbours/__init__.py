"""The neighbours on the WAN's link: who asks them where a pool address is, is told so for those that are in use.

A *solicitation* asks for the link-layer address of a *target*; an *advertisement* tells it (RFC 4861). A target *lives*
while it has a claim, or a flow that is established. An *announcement* tells neighbours, unasked, that an address is
here now: by an advertisement, or by ARP.
"""
