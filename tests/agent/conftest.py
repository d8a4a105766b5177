"""The fixtures of agent_running.py, probed_servers.py, store_running.py and systemd_like.py, for all tests here."""
from agent_running import agent, front_door, quiet_logs
from probed_servers import odd, probing, web
from store_running import emptied, server
from systemd_like import bus, peer

__all__ = ["agent", "bus", "emptied", "front_door", "odd", "peer", "probing", "quiet_logs", "server", "web"]
