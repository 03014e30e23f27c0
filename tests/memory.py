"""What a process takes, for tests and benches."""

from pathlib import Path


def pss(pid: int | None) -> int:
    """
    Proportional set size in bytes: what is shared counts by its share, so that the sum over processes is what they take
    together. 0 for a process that has ended, or is none.
    """
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
