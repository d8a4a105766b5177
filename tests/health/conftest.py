"""What requests tell of endpoints is tested through balances, as it is used."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "balance"))
