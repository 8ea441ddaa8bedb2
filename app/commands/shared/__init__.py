"""What several commands share: Ctrl-C, replies on a terminal, a window that is not shown."""
