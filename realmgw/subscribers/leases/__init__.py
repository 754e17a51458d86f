"""Hosts that are registered by dynamic update: what is registered, what follows for the registry, and its journal."""
