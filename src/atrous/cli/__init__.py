"""The command `atrous`: one file per command or group of commands."""
