"""The arguments of the commands; each command itself is imported when it is used."""
