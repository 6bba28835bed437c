"""`python -m scalekern` is the command line, for where its script is not on the path."""

from scalekern.cli import main

if __name__ == "__main__":
    main()
