"""The fault suite: what is promised under kills, power cuts, bad disks, receivers and senders. docs/reliability.md."""
