"""The fixtures of agent_running.py, probed_servers.py and systemd_like.py, for all tests here."""
from agent_running import agent, front_door, quiet_logs
from probed_servers import odd, probing, web
from systemd_like import bus, peer

__all__ = ["agent", "bus", "front_door", "odd", "peer", "probing", "quiet_logs", "web"]
