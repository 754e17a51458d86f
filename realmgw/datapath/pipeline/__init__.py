"""The stages of the network policy that the operator writes: what stands in the kernel for them.

A *stage* is a part of the policy (`datapath.policy_order`); what it does is said by `policy.pipeline`. It becomes
chains with hooks of their own, and counters and sets that these need. Each rule says in its comment where it is
written; each that ends a packet counts it by name.
"""
