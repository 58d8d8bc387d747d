"""What commands print: tables (one file each, with its columns), JSON and YAML, colours, live progress.

Builds rows from data that a command hands over; reads no arguments and decides no exit status. Never imports
:mod:`reconciler.cli.commands`.
"""
