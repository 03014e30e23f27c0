"""Power loss: what a process wrote and synced, recorded, and what a disk may hold of it after a cut."""
