"""From text to frozen settings: the schema, the files and drop-in folders, and every problem of a run at once."""
