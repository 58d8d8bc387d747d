"""The parent process of each container, and what it shares with the engine.

What belongs here: modules that run in the supervisor, an interpreter started without site-packages for every
container, which must be up in milliseconds. They import the cheap part of the standard library only: no
typing, pathlib, contextlib or dataclasses. The engine imports the modules too.

Never imports: anything of this project outside this package.
"""
