"""The usual query, answered from octets that were built before."""
