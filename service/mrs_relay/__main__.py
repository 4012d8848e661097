"""`python -m mrs_relay` is the command `mrs-relay`."""

from mrs_relay.cli import main

if __name__ == "__main__":
    main.main()
