"""The usual query, answered from octets that were prepared before."""
