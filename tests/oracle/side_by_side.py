"""The two proxies of the comparison, as one thing to send requests to."""
from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from proxies import Outcome, Traefik, send
from requests_made import Case
from running import Mesh, ask


@dataclass(frozen=True, slots=True)
class Both:
    """The two proxies, ready; each request goes to one and then to the other."""

    traefik: Traefik
    mesh: Mesh

    def outcomes(self, case: Case) -> tuple[Outcome, Outcome]:
        """Traefik's, and ours."""
        return (send(self.traefik.ports[case.entry], case.request, case.source),
                send(self.mesh.port_of(case.entry), case.request, case.source))

    def api(self, path: str) -> tuple[Any, Any]:
        """What either API answers: Traefik's, and ours."""
        return self.traefik.ask(path), json.loads(ask(self.mesh.admin, path).body)
