"""`python -m demiurgic`: the same as the command `demiurgic`."""

from demiurgic.cli.main import main

if __name__ == "__main__":
    main()
