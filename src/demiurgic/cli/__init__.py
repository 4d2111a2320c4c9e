"""Floor 8: the command line. One file per command, no logic of its own; heavy imports wait until a command runs."""
