"""The fixtures of agent_running.py, for all tests here."""
from agent_running import agent, front_door, quiet_logs

__all__ = ["agent", "front_door", "quiet_logs"]
