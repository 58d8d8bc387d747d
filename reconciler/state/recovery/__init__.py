"""Records that are lost: which cannot be their jobs', and what a sidecar knows of them.

May import the record, events and times of :mod:`reconciler.state`; never its stores, which use this.
"""
