"""Questions of those on a LAN about other people's names: put to resolvers, and kept as long as their answers live."""
