"""`python -m mrs_emulator` is the command `mrs-emulator`."""

from mrs_emulator import cli

if __name__ == "__main__":
    cli.main()
