"""The kernel's side: the nftables ruleset as data, links, addresses and routes, conntrack, and what the kernel can do."""
