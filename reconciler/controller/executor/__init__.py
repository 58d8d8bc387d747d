"""The executor: carries out on the engine what the state machine decided.

Belongs here: networks, volumes and files of a job, container specifications, starting and stopping
containers. Public: :class:`.executor.Executor` (a decision's actions, in order),
:class:`.execution_context.ExecutionContext` (what they work with), :func:`.redaction.secret_mask`, and for
deleted jobs :func:`.stop.stop_containers` and :func:`.cleanup.clean_up`. Every action may be repeated, by
this daemon or the next one: the modules hold nothing between calls.

Never imports the reconciler, the controller, the informer or the daemon; decides nothing, saves no record.
"""
