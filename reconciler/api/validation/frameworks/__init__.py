"""Rules of one framework or gang scheduler each, for a job with its runtime, as in upstream's plugins.

:mod:`~reconciler.api.validation.frameworks.framework_rules` lists those of frameworks.
Imported by the rules of jobs; the modules never import each other, but for ``reserved_env``.
"""
