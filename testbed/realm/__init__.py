"""The namespaces, and everybody who lives in them: gateway, hosts, clients, resolvers."""
