"""How a process of ours begins and ends under `twistd`: refusals, order of its services, status, signals."""
