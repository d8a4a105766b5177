"""The fixtures of agent_running.py and probed_servers.py, for all tests here."""
from agent_running import agent, front_door, quiet_logs
from probed_servers import odd, probing, web

__all__ = ["agent", "front_door", "odd", "probing", "quiet_logs", "web"]
