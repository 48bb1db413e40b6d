"""Contracts: schemas, their versions, and how their types map to Arrow and SQL."""
