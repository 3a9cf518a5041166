"""The `kefu` command: `command` finds out what is wanted, one file a subcommand does it, the others lay it out."""
