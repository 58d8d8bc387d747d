"""The process around the controller: what a service needs, and nothing about jobs.

Belongs here: signals, a configuration that is read again, the service manager (systemd), the engine's first
answer, a git server's calls, memory. Public: :func:`.engine_connection.connect` (an engine for the user's
settings) and :func:`.sd_notify.from_environment`; the rest is the manager's.

Never imports the manager, the controller or what belongs to passes: what is reported on is a Protocol.
"""
