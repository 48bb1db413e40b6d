"""Adding a source: a sample or a foreign schema in, its files out, held against the sample before they are kept."""
