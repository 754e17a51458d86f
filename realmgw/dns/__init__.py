"""The DNS server: a strict wire codec, the zones, the answers, and the faces (WAN, LAN) that they are given on."""
