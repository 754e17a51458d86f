"""The allocation against clients and resolvers in simulated time."""
