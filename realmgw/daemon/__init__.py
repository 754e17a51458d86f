"""How a process of ours begins and ends under `twistd`: refusals, exit status, signals, no memory left."""
