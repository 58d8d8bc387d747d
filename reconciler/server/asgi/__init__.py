"""Accepts connections and runs ASGI applications on their requests, within limits for each client.

``http_server`` has the thread and the listeners, ``listeners`` opens their sockets, ``http_connection``
speaks HTTP/1.1 (h11) and ASGI, ``connection_limits`` says how much a client may take. Import ``Server``,
``Listener``, ``SocketFactory`` and ``ConnectionLimits`` from these modules. Nothing here may import an
endpoint, a token or the certificate authority.
"""
