"""`headrace`, and `python -m headrace`: the command line, from its first moment on."""

import sys


def run() -> None:
    """Run the command line; Ctrl-C while it is still being loaded ends it as it does later, without a word."""
    try:
        from headrace.cli.main import main

        main()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    run()
