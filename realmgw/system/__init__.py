"""What every room needs of the operating system, and nothing that it would have to be configured for."""
