"""HTTP(S) endpoints that the daemon opens: training progress, a webhook; ordinary ASGI applications.

Applications are Starlette's (routes, requests, answers): :mod:`.status_responses` builds them, with errors as
Kubernetes words them. :mod:`.asgi` accepts connections; :mod:`.bearer_tokens`, :mod:`.certificate_authority`
and :mod:`.network_namespaces` are what endpoints and listeners need besides. Nothing here imports the
controller, engines or sources.

Why an own server, and not uvicorn or hypercorn: these endpoints face containers that nobody vouches for, and
every job has its own gateway address, certificate and network namespace. uvicorn has no time limit for
reading a request or for writing an answer, and neither has limits per client, evicts idle connections or
answers with ``metav1.Status``; with both, that is done by overriding their protocol classes, which are no
public interface. h11, the parser of both, does what is easily done wrong, request framing; what is left are
the limits (:class:`.asgi.connection_limits.ConnectionLimits`). ``tests/server/test_attacks.py`` holds them.

To add an endpoint on a loopback address with a bearer token::

    from starlette.concurrency import run_in_threadpool
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    from reconciler.server.asgi.http_server import Server
    from reconciler.server.bearer_tokens import bearer_token, load_or_create_token
    from reconciler.server.status_responses import ApiResponse, build_application, error_response

    secret = load_or_create_token(settings.state_dir / "webhook" / "token").encode()    # created once, 0600

    async def push(request: Request) -> Response:
        if not hmac.compare_digest(bearer_token(request.headers).encode(), secret):
            return error_response(403)                                   # before the body is read
        await run_in_threadpool(handle_push, await request.body())       # what may block
        return ApiResponse({})

    server = Server()                                                    # one a daemon is enough
    app = build_application(Route("/hooks/{name}", push, methods=["POST"]))
    listener = server.listen("127.0.0.1", 9443, app)                     # ListenError: the port is taken
    ...
    server.close()

TLS: ``listen(..., tls=authority.server_context(address))``. An answer that lasts (a watch, server-sent
events) is a ``StreamingResponse`` of an async generator: it is ended when the client leaves, or takes longer
than ``ConnectionLimits.write`` for a piece. What can go wrong: a coroutine that blocks delays every
connection, and a function that blocks holds one of few threads. Import Starlette only where an endpoint is
opened: the daemon without one needs neither its time nor its memory.
"""
