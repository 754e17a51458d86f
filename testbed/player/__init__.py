"""Traffic by templates: those who resolve names and connect, honest ones and others."""
