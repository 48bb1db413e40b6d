"""Landing: a child process of `up` that takes the files of watched folders and buckets, each row once.

watched (what to look at) ─▶ watch (when) ─▶ taking: find ▸ settle ▸ read ▸ publish ─▶ manifest, one entry a file
"""
