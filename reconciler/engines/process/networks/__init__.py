"""Networks as loopback subnets: addresses, rendezvous ports and their reservations.

What belongs here: :mod:`loopback_networks` (the networks of one state folder: import
:class:`LoopbackNetworks` from it), :mod:`loopback_addresses` (choice of subnets, addresses and ports) and
:mod:`port_reservations` (ports shared with the user's other daemons).

Never imports: containers or volumes of the engine.
"""
