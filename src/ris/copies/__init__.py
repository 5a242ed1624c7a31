"""Where is this very picture: its crop, its screenshot, its turned or mirrored copy, or nowhere."""
