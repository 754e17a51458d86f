"""Who lives behind the gateway: hosts, their services, and the directory in which names are looked up.

Glossary. A *host* is a private machine; its *index* is what packet marks carry. A *service* is a name under which a
host is reached, with what may be reached by it. An *entry* is a subscriber as a file says it. The *directory* holds all
hosts and services of one moment; the *registry* has it, with the *sources* (files, repositories) that everything in it
comes from.
"""
