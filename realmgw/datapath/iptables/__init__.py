"""What only iptables' programs can place: the queue step, and rules in tables that are theirs."""
