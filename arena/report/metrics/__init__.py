"""What the report measures, one metric a file."""
