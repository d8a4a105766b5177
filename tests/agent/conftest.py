"""The fixtures of agent_running.py and systemd_like.py, for all tests here."""
from agent_running import agent, front_door, quiet_logs
from systemd_like import bus, peer

__all__ = ["agent", "bus", "front_door", "peer", "quiet_logs"]
