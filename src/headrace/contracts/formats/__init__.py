"""Foreign schema forms, one module each: what they say as JSON Schema, and JSON Schema as what they can say."""
