"""The SYN proxies in front: each is told which TCP options it has to answer with, for which address and port.

Glossary:

SYN proxy
    Answers a SYN in the name of the server, with a cookie in place of a state; only who completes the handshake gets
    to the server. The options of a SYN-ACK are a promise of the server's that the proxy has to know beforehand.
entry
    What the proxy has in its table: a key, and the options that it answers with.
key
    An address, a port or any, a protocol or any. Of several that match, the most specific one counts.
default
    The entry of the address that is all zeros: it counts where no other one does. Each family has one.
"""
