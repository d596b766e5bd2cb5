"""Culture in the report, a question a file: who set what was useful, which posts helped, what was built on what."""
