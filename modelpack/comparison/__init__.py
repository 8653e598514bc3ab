"""Two images side by side: what differs, down to the byte, and whether one can be made again."""
