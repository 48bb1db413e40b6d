"""Stages: pure, columnar, engine-free steps of an event's life. RecordBatch in, Outcome out."""
