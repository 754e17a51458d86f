"""What an operator does with a gateway: the commands, and what they ask of one that runs."""
