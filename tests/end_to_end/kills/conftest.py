import sys
from pathlib import Path

# The harness is a script as well (kill_many.py), whose parts import each other by their names.
sys.path.insert(0, str(Path(__file__).parent))
