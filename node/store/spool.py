"""The spool: where acknowledged bytes are. Written by the intake part; see DESIGN."""
