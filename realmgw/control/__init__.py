"""What an operator does with a gateway: the commands, and the services in their order."""
