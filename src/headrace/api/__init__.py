"""Faces for other programs: the schema registry over REST."""
