"""What is known of data before any of it flows: which column comes from which."""
