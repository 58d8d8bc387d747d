"""Configurations of backends, at upstream's import paths: the container backend's, and those refused here."""
