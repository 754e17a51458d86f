"""The policy repository's server: subscribers and policies of many gateways in one place, by HTTP.

Glossary. A *document* is a subscriber or a policy as JSON, kept under its kind and name. Its *tag* (ETag) stands for
its content. The *version* of the repository stands for the content of all documents; every write makes a new one. A
*claim* is a name or an address that belongs to one subscriber alone.
"""
