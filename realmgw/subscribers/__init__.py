"""Who lives behind the gateway: hosts, their services, and the directory in which names are looked up."""
