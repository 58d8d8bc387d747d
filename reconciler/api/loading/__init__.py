"""A file's bytes to documents: YAML or JSON, decoded, validated against the models, with every field's line.

Public: :func:`~reconciler.api.loading.loader.load`, and its result in :mod:`reconciler.api.loading.document`.
Rules that need more than one object belong to :mod:`reconciler.api.validation`, which this package never
imports.
"""
