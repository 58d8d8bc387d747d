"""What a command leaves for the daemon of a folder, besides edited manifests: requests, a file each.

Belongs here: the form of a request, how it is written and withdrawn, and which object it is for. Who carries
it out is the controller's business. Imports what the rest of :mod:`reconciler.state` does; never the
controller.
"""
