"""Small HTTP(S) endpoints that the daemon opens: training progress, a webhook, figures for a scraper.

Why h11 on one asyncio thread, and not a web framework or ``http.server``: these endpoints face containers
that nobody vouches for. ``http.server`` has one thread a connection and no time limit on a request as a
whole, so a few hundred idle sockets take the daemon along; uvicorn and hypercorn have no time limit on
reading a request either and cannot open a listener while they run (every job has its own gateway address);
aiohttp costs 20 MB of the daemon's 120. h11 (the parser of httpx and uvicorn) does what is easily done wrong,
request framing; what is left is a page of limits: :class:`reconciler.server.client_limits.Limits`.

To add an endpoint on a loopback address with a bearer token::

    from reconciler.server.messages import Head, Request, Response, as_json
    from reconciler.server.routing import Route, Routes
    from reconciler.server.http_server import Server
    from reconciler.server.bearer_tokens import BearerToken

    token = BearerToken.kept(settings.state_dir / "webhook" / "token")   # made once, 0600
    def pushed(request: Request) -> Response:                            # in a thread of its own; be quick
        rescan.set()
        return as_json({})
    routes = Routes(Route("POST", "/hooks/{name}", pushed, admit=token.admit))
    server = Server()                                                    # one a daemon is enough
    listening = server.listen("127.0.0.1", 9443, routes)                 # ServingError: the port is taken
    ...
    server.close()

``admit`` is asked before a byte of the body is read; what it returns is the answer
(:func:`reconciler.server.messages.refusal`), None lets the request in. Write one's own where the token is in
another header (a webhook's HMAC needs the body: check it in the handler and leave ``admit`` out). TLS:
``listen(..., tls=context)``, see :mod:`reconciler.server.certificate_authority`. What can go wrong: a handler that
blocks holds one of few threads.
"""
