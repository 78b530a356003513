"""The administrator's listener: metrics and health, away from the clients of the service.

How many texts are marked would tell a client which of its words are triggers.
"""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from forensics.protect.metrics import Metrics
from forensics.protect.targets import Targets
from forensics.protect.upstream import Upstream

if TYPE_CHECKING:
    from aiohttp import web


def build_admin(
    upstream: Upstream, targets: Targets, metrics: Metrics, stopping: Callable[[], bool]
) -> "web.Application":
    """Returns the application with `/_protect/metrics` and `/_protect/health`.

    Health is 200 while requests are accepted and the upstream answers anything at all, else 503.
    """
    from aiohttp import web

    async def show_metrics(request: web.Request) -> web.Response:
        return web.Response(text=metrics.render(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    async def show_health(request: web.Request) -> web.Response:
        reachable = await upstream.reachable()
        facts = {
            "state": "stopping" if stopping() else "serving",
            "upstream": "reachable" if reachable else "unreachable",
            "targets": len(targets),
        }
        body = json.dumps(facts)
        return web.Response(
            text=body, status=200 if reachable and not stopping() else 503, content_type="application/json"
        )

    app = web.Application()
    app.router.add_get("/_protect/metrics", show_metrics)
    app.router.add_get("/_protect/health", show_health)
    return app
