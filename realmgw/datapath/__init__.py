"""The kernel's side: the nftables ruleset as data, links, addresses and routes, and what the kernel can do."""
