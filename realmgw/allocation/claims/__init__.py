"""Claims: made by a query, used by a first packet, ended in time; and whose merit or fault that is."""
