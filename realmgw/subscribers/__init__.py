"""Who lives behind the gateway: hosts, their services, and the directory in which names are looked up.

Glossary. A *host* is a private machine; its *index* is what packet marks carry. A *service* is a name under which a
host is reached. What is said of both are *options*: fields of `model.Profile` and `model.Terms`, and nothing but such a
field makes one known to files, documents and OpenAPI. An *entry* is a subscriber as a file says it. The *directory*
holds all hosts and services of one moment; the *registry* has it, with the *sources* (files, repositories) that
everything in it comes from.
"""
