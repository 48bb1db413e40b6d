"""The front door: events in over HTTP, acknowledged once they are durable."""
