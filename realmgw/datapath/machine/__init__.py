"""The machine as it is: interfaces, kernel settings, and what it can do."""
