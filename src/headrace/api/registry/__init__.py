"""The REST API of Confluent's Schema Registry, as a façade over a project's contracts.

A project's files are subjects that are there from the start and that nobody can write (`contracts`); what clients
register beside them is kept in one SQLite file (`store`). `subjects` decides, `routes` and `app` speak HTTP.
"""
