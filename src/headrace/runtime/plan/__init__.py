"""Plan: what the project's files would change of what is deployed, layer by layer; and apply, which does just that.

files, what is deployed ─▶ sources · contracts · tables · models, by lineage ─▶ document
bronze ─▶ the same rebuild, from some message on under the new files         ─▶ history ─▶ document
document ─▶ apply: refused where an input is another by now; one transaction
"""
