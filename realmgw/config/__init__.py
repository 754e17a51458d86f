"""From text to frozen settings: the schema, the files, and every problem of a run at once.

Glossary. A *document* is YAML as nodes that know their line and column. A *kind* turns a node into a typed value or
notes a *problem*. A *section* is a mapping whose keys the schema names, a *table* one whose keys the operator chooses.
*Settings* are frozen values: what the rest of the program sees. `load` is the way from a file to settings.
"""

from realmgw.config.files import load as load
