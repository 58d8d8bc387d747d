"""The state machine: what is to be done about one job. Pure; the time is an argument.

Public: :func:`.desired_state.resolve_desired_state` (manifest and record -> apply, delete or reject),
:func:`.acceptance.accept_manifest` (manifest -> record), :func:`.decide.decide` (plan, observation, record ->
next record and actions), :func:`.action_results.apply_action_result` (how an action went -> record), the
events of :mod:`.event_recorder` and the data of :mod:`.observation`, :mod:`.actions` and :mod:`.job_view`.
Each rule that ``decide`` applies has a module of its name. Imports nothing that does I/O.
"""
