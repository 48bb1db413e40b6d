"""The lake: bronze, silver and the ops tables, committed together."""
