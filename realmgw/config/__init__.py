"""From text to frozen settings: the schema, the files, and every problem of a run at once.

Glossary. A *document* is YAML as nodes that know their line and column. A *validator* makes a typed value of a node or
notes a *problem*. A *section* is a mapping whose keys the schema names, a *table* one whose keys the operator chooses.
*Settings* are frozen values: what the rest of the program sees. A *layer* is a folder of drop-ins, which are laid over
the main file. `load` is the way from files to settings, `dump` the way back. The *last good* configuration is the one
that ran last. Edge: configuration files.
"""

from realmgw.config.files import load as load
from realmgw.config.files import load_partly as load_partly
from realmgw.config.files import refuse_unreadable as refuse_unreadable
from realmgw.config.last_good import Loaded as Loaded
from realmgw.config.last_good import keep as keep
from realmgw.config.last_good import load_or_last_good as load_or_last_good
from realmgw.config.last_good import state_file as state_file
from realmgw.config.last_good import state_folder as state_folder
from realmgw.config.references import NO_SECRETS as NO_SECRETS
from realmgw.config.references import Secrets as Secrets
from realmgw.config.references import Written as Written
from realmgw.config.references import lists as lists
from realmgw.config.references import loading_all as loading_all
from realmgw.config.references import secrets as secrets
from realmgw.config.unsupported import unsupported_keys as unsupported_keys
from realmgw.config.unsupported import unsupported_of_subscribers as unsupported_of_subscribers
from realmgw.config.writing import Change as Change
from realmgw.config.writing import differences as differences
from realmgw.config.writing import dump as dump
