"""How a load balancer chooses and judges its endpoints, as `/api/rawdata` shows it: Traefik's shapes, ours beside them.

Owns the spelling of these fields.  Shown is what a file could say and what is not the default: durations as Go writes
them.  So a service that says nothing of ours looks as it does with Traefik.  Floor 3.
"""
from __future__ import annotations

from typing import Any

from mesh.model import Cookie, HealthCheck, LoadBalancer, Passive

_USUAL = LoadBalancer()


def described(balancer: LoadBalancer) -> dict[str, Any]:
    """The fields of `loadBalancer` beyond its servers, its strategy and its transport."""
    also: dict[str, Any] = {**sticky(balancer.sticky)}
    if balancer.passive != _USUAL.passive:
        also["passiveHealthCheck"] = _passive(balancer.passive)
    if balancer.health_check is not None:
        also["healthCheck"] = _health_check(balancer.health_check)
    if balancer.slow_start:
        also["slowStart"] = duration(balancer.slow_start)
    if balancer.locality:
        also["locality"] = balancer.locality
    if balancer.panic_threshold != _USUAL.panic_threshold:
        also["panicThreshold"] = balancer.panic_threshold
    return also


def sticky(cookie: Cookie | None) -> dict[str, Any]:
    """`sticky` of a load balancer or of a weighted service; nothing where there is none."""
    if cookie is None:
        return {}
    said = {"name": cookie.name, "sameSite": cookie.same_site, "maxAge": cookie.max_age, "domain": cookie.domain}
    return {"sticky": {"cookie": {"secure": cookie.secure, "httpOnly": cookie.http_only, "path": cookie.path,
                                  **{key: value for key, value in said.items() if value}}}}


def _health_check(check: HealthCheck) -> dict[str, Any]:
    said = {"scheme": check.scheme, "hostname": check.hostname, "port": check.port, "status": check.status,
            "headers": dict(check.headers)}
    http = {"path": check.path, "method": check.method, "followRedirects": check.follow_redirects}
    return {"mode": check.mode, **(http if check.mode == "http" else {}),
            **{key: value for key, value in said.items() if value},
            "interval": duration(check.interval),
            "unhealthyInterval": duration(check.unhealthy_interval or check.interval),
            "timeout": duration(check.timeout), "healthyThreshold": check.healthy_threshold,
            "unhealthyThreshold": check.unhealthy_threshold, "starts": check.starts}


def _passive(passive: Passive) -> bool | dict[str, Any]:
    if not passive.attempts and not passive.ratio:
        return False
    return {"failureWindow": duration(passive.window), "maxFailedAttempts": passive.attempts,
            "failureRatio": f"{passive.ratio}%", "minRequests": passive.min_requests, "statuses": passive.statuses,
            "ejectionTime": duration(passive.ejection), "maxEjectionTime": duration(passive.max_ejection),
            "maxEjectionPercent": passive.max_ejected}


def duration(seconds: float) -> str:
    """Seconds as Go writes them: 1m30s, 1.5s, 250ms, 0s."""
    if seconds < 1:
        return f"{round(seconds * 1000, 6):g}ms" if seconds else "0s"
    hours, rest = divmod(round(seconds, 9), 3600)
    minutes, rest = divmod(rest, 60)
    return (f"{hours:.0f}h" if hours else "") + (f"{minutes:.0f}m" if hours or minutes else "") + f"{round(rest, 9):g}s"
