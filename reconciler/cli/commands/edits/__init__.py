"""The commands that edit manifests: ``suspend``, ``resume``, ``rerun``, ``delete``; one file each.

What they share is :mod:`reconciler.cli.edit_command`; they import nothing of the other commands.
"""
