"""What every package may use, with no subject of ours: records, files, processes, text."""
