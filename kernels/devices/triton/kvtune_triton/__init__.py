"""kvtune's Triton worker: one device and the programs on it, driven over stdin and stdout (see frames.py)."""
